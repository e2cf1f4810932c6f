// Signs as drawings: no font has all of them.
import { svg } from './dom';

const PATHS = {
  info: 'M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13ZM8 7v4.2M8 4.6v.2',
  out: 'M6.5 3H3v10h10V9.5M9 3h4v4M13 3 7 9',
  refresh: 'M13.5 8a5.5 5.5 0 1 1-1.7-4M13.5 1.5v3h-3',
  sun: 'M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6ZM8 1v1.6M8 13.4V15M1 8h1.6M13.4 8H15M3 3l1.2 1.2M11.8 11.8 13 13M13 3l-1.2 1.2M4.2 11.8 3 13',
  moon: 'M13 9.5A5.5 5.5 0 0 1 6.5 3 5.5 5.5 0 1 0 13 9.5Z',
};

export function icon(name: keyof typeof PATHS): SVGElement {
  const attrs = { class: 'icon', viewBox: '0 0 16 16', 'aria-hidden': 'true' };
  return svg('svg', attrs, svg('path', { d: PATHS[name], fill: 'none', stroke: 'currentColor', 'stroke-width': 1.4, 'stroke-linecap': 'round', 'stroke-linejoin': 'round' }));
}

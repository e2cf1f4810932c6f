// Elements from data. Text goes in as text, never as HTML: labels and titles are anybody's.

type Child = Node | string | null | undefined | false;

interface Props {
  class?: string;
  data?: Record<string, string | number | undefined>;
  attrs?: Record<string, string | number | undefined>;
  style?: Record<string, string>;
  on?: Record<string, (event: any) => void>;
}

export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  props: Props = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  return filled(document.createElement(tag), props, children);
}

export function svg(tag: string, attrs: Record<string, string | number>, ...children: Child[]): SVGElement {
  return filled(document.createElementNS('http://www.w3.org/2000/svg', tag), { attrs }, children);
}

function filled<E extends HTMLElement | SVGElement>(element: E, props: Props, children: Child[]): E {
  if (props.class) element.setAttribute('class', props.class);
  for (const [key, value] of Object.entries(props.data ?? {})) if (value !== undefined) element.dataset[key] = `${value}`;
  for (const [key, value] of Object.entries(props.attrs ?? {})) {
    if (value !== undefined) element.setAttribute(key, `${value}`);
  }
  for (const [key, value] of Object.entries(props.style ?? {})) element.style.setProperty(key, value);
  for (const [key, value] of Object.entries(props.on ?? {})) element.addEventListener(key, value);
  element.append(...children.filter((child): child is Node | string => !!child || child === ''));
  return element;
}

// What this device calls itself when it signs in.

import type { NewDevice } from './api.ts';
import type { DeviceType } from './wire.ts';

export function thisDevice(): NewDevice {
  const agent = navigator.userAgent;
  return { type: typeOf(agent, matchMedia('(display-mode: standalone)').matches), name: nameOf(agent) };
}

/** An installed app on a desk is DESKTOP; in a browser's tab it is WEB; phones are MOBILE either way. */
export function typeOf(agent: string, installed: boolean): DeviceType {
  if (/Android|iPhone|iPad|Mobile/.test(agent)) return 'MOBILE';
  return installed ? 'DESKTOP' : 'WEB';
}

/** "Firefox on Linux" */
export function nameOf(agent: string): string {
  const browsers = [['Edg/', 'Edge'], ['OPR/', 'Opera'], ['Firefox/', 'Firefox'], ['Chrome/', 'Chrome'], ['Safari/', 'Safari']] as const;
  const systems = [['Android', 'Android'], ['iPhone', 'iPhone'], ['iPad', 'iPad'], ['Mac OS', 'macOS'], ['Windows', 'Windows'], ['Linux', 'Linux']] as const;
  const find = (of: readonly (readonly [string, string])[]) => of.find(([sign]) => agent.includes(sign))?.[1];
  return `${find(browsers) ?? 'Browser'} on ${find(systems) ?? 'a device'}`;
}

// Times and sizes as people say them. Pure; `now` is told.

const DAY_MS = 86_400_000;

/** "just now", "5 minutes ago", "yesterday at 09:12", "12 March". Times are Unix seconds. */
export function ago(ts: number, now: number, locale?: string): string {
  const seconds = Math.max(0, now - ts);
  const relative = new Intl.RelativeTimeFormat(locale, { numeric: 'auto' });
  if (seconds < 60) return 'just now';
  if (seconds < 3600) return relative.format(-Math.floor(seconds / 60), 'minute');
  if (daysBetween(ts, now) === 0) return relative.format(-Math.floor(seconds / 3600), 'hour');
  if (daysBetween(ts, now) === 1) return `${relative.format(-1, 'day')} at ${clock(ts, locale)}`;
  return date(ts, now, locale);
}

/** 14:03, in the reader's time zone. */
export function clock(ts: number, locale?: string): string {
  return new Intl.DateTimeFormat(locale, { hour: '2-digit', minute: '2-digit' }).format(ts * 1000);
}

/** "Today", "Yesterday", "Monday 3 March", with the year when it is another one. */
export function day(ts: number, now: number, locale?: string): string {
  const days = daysBetween(ts, now);
  if (days === 0) return 'Today';
  if (days === 1) return 'Yesterday';
  const options: Intl.DateTimeFormatOptions = { weekday: 'long', day: 'numeric', month: 'long' };
  if (new Date(ts * 1000).getFullYear() !== new Date(now * 1000).getFullYear()) options.year = 'numeric';
  return new Intl.DateTimeFormat(locale, options).format(ts * 1000);
}

/** Short enough for a list: the time today, the weekday this week, else the date. */
export function brief(ts: number, now: number, locale?: string): string {
  const days = daysBetween(ts, now);
  if (days === 0) return clock(ts, locale);
  if (days < 7) return new Intl.DateTimeFormat(locale, { weekday: 'short' }).format(ts * 1000);
  return date(ts, now, locale);
}

function date(ts: number, now: number, locale?: string): string {
  const options: Intl.DateTimeFormatOptions = { day: 'numeric', month: 'short' };
  if (new Date(ts * 1000).getFullYear() !== new Date(now * 1000).getFullYear()) options.year = 'numeric';
  return new Intl.DateTimeFormat(locale, options).format(ts * 1000);
}

/** Whole days between two times, by the calendar and not by hours. */
export function daysBetween(ts: number, now: number): number {
  const midnight = (seconds: number) => new Date(seconds * 1000).setHours(0, 0, 0, 0);
  return Math.round((midnight(now) - midnight(ts)) / DAY_MS);
}

/** 640 B, 12 kB, 3.4 MB. */
export function size(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  if (bytes < 1_000_000) return `${Math.round(bytes / 1000)} kB`;
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}

/** 4:07 */
export function countdown(seconds: number): string {
  const left = Math.max(0, Math.ceil(seconds));
  return `${Math.floor(left / 60)}:${String(left % 60).padStart(2, '0')}`;
}

// Which part of a conversation's log is on the page. Pure. At most MAX rows are drawn, however long the log is.

export type Span = { from: number; to: number }; // both included; empty when to < from

export const PAGE = 60;
export const MAX = 240;

/** The end of the log. */
export function latest(newest: number): Span {
  return { from: Math.max(1, newest - PAGE + 1), to: newest };
}

/** Around one message, for jumping to it. */
export function around(seq: number, newest: number): Span {
  const from = Math.max(1, Math.min(seq, newest) - PAGE / 2);
  return { from, to: Math.min(newest, from + PAGE - 1) };
}

/** A page more towards the beginning; what is too much falls off at the end. */
export function older(span: Span): Span {
  const from = Math.max(1, span.from - PAGE);
  return { from, to: Math.min(span.to, from + MAX - 1) };
}

/** A page more towards the end. */
export function newer(span: Span, newest: number): Span {
  const to = Math.min(newest, span.to + PAGE);
  return { from: Math.max(span.from, to - MAX + 1), to };
}

/** New rows came: one who looks at the end goes on looking at the end, others stay where they are. */
export function grown(span: Span, before: number, newest: number): Span {
  if (span.to < before) return span;
  return { from: Math.max(span.from, newest - MAX + 1), to: newest };
}

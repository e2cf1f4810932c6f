// Small pieces that several views are made of.

import type { ComponentChildren, RefObject } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { Icon, type IconName } from '../icons.tsx';
import { absolute } from '../config.ts';
import { people } from '../state.ts';

/** The current time in Unix seconds, looked at again every `every_ms`. */
export function useNow(every_ms: number): number {
  const [now, setNow] = useState(() => Date.now() / 1000);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now() / 1000), every_ms);
    return () => clearInterval(timer);
  }, [every_ms]);
  return now;
}

export function IconButton({ icon, label, ...rest }: { icon: IconName; label: string; [more: string]: unknown }) {
  return (
    <button type="button" class="icon-button" aria-label={label} title={label} {...rest}>
      <Icon name={icon} />
    </button>
  );
}

/** Somebody's picture, or their initial on a colour of their own. */
export function Avatar({ user, name, group }: { user?: number; name: string; group?: boolean }) {
  const url = user === undefined ? null : people.value.get(user)?.avatar;
  const [broken, setBroken] = useState<string | null>(null);
  if (url && broken !== url) {
    return <img class="avatar" src={absolute(url)} alt="" loading="lazy" onError={() => setBroken(url)} />;
  }
  const initial = [...name.trim()][0]?.toUpperCase() ?? '?';
  return (
    <span class={`avatar tone-${tone(name)}${group ? ' group' : ''}`} aria-hidden="true">
      {initial}
    </span>
  );
}

function tone(name: string): number {
  let sum = 0;
  for (const letter of name) sum = (sum * 31 + (letter.codePointAt(0) ?? 0)) % 997;
  return sum % 6;
}

/** For a dialog that is above everything and holds the keyboard as long as it is drawn; then that is where it was. */
export function useModal(): RefObject<HTMLDialogElement> {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const before = document.activeElement;
    const shown = dialog.current;
    shown?.showModal();
    return () => {
      shown?.close();
      if (!(before instanceof HTMLElement) || document.activeElement !== before) return;
      before.blur(); // Chromium focuses a field again without its caret: nothing could be typed
      before.focus();
    };
  }, []);
  return dialog;
}

/** A dialog that closes by Escape. */
export function Dialog({ title, onClose, children }: { title: string; onClose: () => void; children: ComponentChildren }) {
  const dialog = useModal();
  return (
    <dialog ref={dialog} aria-labelledby="dialog-title" onClose={onClose} onCancel={onClose}>
      <header>
        <h2 id="dialog-title">{title}</h2>
        <IconButton icon="close" label="Close" onClick={onClose} />
      </header>
      {children}
    </dialog>
  );
}

/** What went wrong, said where it went wrong and to a screen reader. */
export function Problem({ children }: { children: ComponentChildren }) {
  if (!children) return null;
  return (
    <p class="problem" role="alert">
      <Icon name="alert" /> {children}
    </p>
  );
}

/** Run something that may fail; `busy` while it runs, `problem` in words when it failed. */
export function useAction(): { busy: boolean; problem: string | null; run: (work: () => Promise<void>) => void } {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const run = (work: () => Promise<void>) => {
    setBusy(true);
    setProblem(null);
    work()
      .catch((error: unknown) => setProblem(error instanceof Error ? error.message : String(error)))
      .finally(() => setBusy(false));
  };
  return { busy, problem, run };
}

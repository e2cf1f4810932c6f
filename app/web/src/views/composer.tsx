// Where one writes. What is written and not sent is kept as a draft.

import { useEffect, useRef, useState } from 'preact/hooks';
import type { Conversation } from '../db.ts';
import { dimensions, MAX_FILE_BYTES } from '../files.ts';
import { bus, send, the, titleOf } from '../state.ts';
import { size } from '../words.ts';
import { IconButton, Problem } from './parts.tsx';

const TYPING_EVERY_MS = 3_000;
const NOT_KEPT = 'It could not be kept on this device, so it was not sent. Is its disk full?';
const MAX_BYTES = 32_000; // encrypted and in base64 it must fit into a body of 49,152 characters

export function Composer({ conv }: { conv: Conversation }) {
  const [text, setText] = useState('');
  const [problem, setProblem] = useState<string | null>(null);
  const field = useRef<HTMLTextAreaElement>(null);
  const picker = useRef<HTMLInputElement>(null);
  const saidAt = useRef(0);
  const draft = `draft-${conv.id}`;

  useEffect(() => {
    void the().db.get('meta', draft).then((kept) => typeof kept === 'string' && setText((now) => now || kept));
    if (matchMedia('(min-width: 50rem)').matches) field.current?.focus();
  }, []);

  useEffect(() => {
    const from = field.current;
    if (!from) return;
    from.style.height = 'auto';
    from.style.height = `${Math.min(from.scrollHeight, 200)}px`;
  }, [text]);

  const write = (words: string) => {
    setText(words);
    void the().db.put('meta', words, draft);
    if (words && Date.now() - saidAt.current > TYPING_EVERY_MS) {
      saidAt.current = Date.now();
      bus.say({ wish: 'typing', conv: conv.id });
    }
  };

  const submit = () => {
    const words = text.trim();
    if (!words) return;
    const bytes = new TextEncoder().encode(JSON.stringify(words)).length;
    if (bytes > MAX_BYTES) return setProblem(`This is too long for one message: ${size(bytes)} of at most ${size(MAX_BYTES)}.`);
    setProblem(null);
    saidAt.current = 0;
    setText('');
    void the().db.delete('meta', draft);
    send(conv.id, { kind: 'text', text: words }).catch(() => {
      setText((now) => now || words);
      setProblem(NOT_KEPT);
    });
  };

  const attach = async (files: Iterable<File>) => {
    setProblem(null);
    for (const file of files) {
      if (file.size === 0) setProblem(`${file.name} is empty.`);
      else if (file.size > MAX_FILE_BYTES) setProblem(`${file.name} has ${size(file.size)}; at most ${size(MAX_FILE_BYTES)} are taken.`);
      else {
        const mime = file.type || 'application/octet-stream';
        const content = { kind: 'file' as const, name: file.name, mime, file: null, ...(await dimensions(file)) };
        await send(conv.id, content, file).catch(() => setProblem(NOT_KEPT));
      }
    }
  };

  return (
    <form
      class="composer"
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
      onDragOver={(event) => event.preventDefault()}
      onDrop={(event) => {
        event.preventDefault();
        void attach(event.dataTransfer?.files ?? []);
      }}
    >
      <Problem>{problem}</Problem>
      <IconButton icon="attach" label="Attach a file" onClick={() => picker.current?.click()} />
      <input
        ref={picker}
        type="file"
        multiple
        hidden
        onChange={(event) => {
          void attach([...(event.currentTarget.files ?? [])]);
          event.currentTarget.value = '';
        }}
      />
      <textarea
        ref={field}
        rows={1}
        value={text}
        placeholder="Write a message"
        aria-label={`Message to ${titleOf(conv)}`}
        onInput={(event) => write(event.currentTarget.value)}
        onPaste={(event) => {
          const files = [...(event.clipboardData?.files ?? [])];
          if (files.length > 0) {
            event.preventDefault();
            void attach(files);
          }
        }}
        onKeyDown={(event) => {
          if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
            event.preventDefault();
            submit();
          }
        }}
      />
      <IconButton icon="send" label="Send" type="submit" disabled={!text.trim()} />
    </form>
  );
}

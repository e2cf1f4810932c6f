// One message, as it is read.

import { useEffect, useState } from 'preact/hooks';
import type { Conversation, Message, Outgoing } from '../db.ts';
import type { Content, Incident } from '../content.ts';
import { Icon } from '../icons.tsx';
import { fetchFile, isPicture } from '../files.ts';
import { discard, isLive, nameOf, othersIn, retry, self, send } from '../state.ts';
import { clock, size } from '../words.ts';

export function MessageRow({ row, conv, follows }: { row: Message; conv: Conversation; follows: boolean }) {
  const { content } = row;
  if (content.kind === 'member' || content.kind === 'incident-action') {
    return (
      <li class="event quiet" data-seq={row.seq}>
        {nameOf(content.kind === 'member' ? content.user : row.sender)} {said(content)} <time>{clock(row.ts)}</time>
      </li>
    );
  }
  const own = row.sender === self.value;
  return (
    <li class={`message${own ? ' own' : ''}${follows ? ' follows' : ''}`} data-seq={row.seq}>
      {!own && !follows && conv.users.length > 2 && <strong class="sender">{nameOf(row.sender)}</strong>}
      <div class="bubble">
        <Body content={content} conv={row.conv} />
        <span class="meta">
          {row.plain && <span title="It came without encryption."><Icon name="open" /><span class="hidden">not encrypted</span></span>}
          <time>{clock(row.ts)}</time>
          {own && <Mark row={row} conv={conv} />}
        </span>
      </div>
    </li>
  );
}

function said(content: Content): string {
  if (content.kind === 'member') return content.event === 'joined' ? 'is here now' : 'left';
  if (content.kind === 'incident-action') return content.action === 'acknowledge' ? 'acknowledged the incident' : 'resolved the incident';
  return '';
}

/** Sent, delivered to a device of everybody, read by everybody. */
function Mark({ row, conv }: { row: Message; conv: Conversation }) {
  const others = othersIn(conv);
  const all = (of: Record<number, number>) => others.length > 0 && others.every((user) => (of[user] ?? 0) >= row.seq);
  const [mark, icon] = all(conv.reads) ? (['Read', 'checks'] as const) : all(conv.delivered) ? (['Delivered', 'checks'] as const) : (['Sent', 'check'] as const);
  return (
    <span class={`mark ${mark.toLowerCase()}`} title={mark}>
      <Icon name={icon} />
      <span class="hidden">{mark}</span>
    </span>
  );
}

export function OutgoingRow({ one }: { one: Outgoing }) {
  return (
    <li class="message own waiting" data-id={one.id}>
      <div class="bubble">
        <Body content={one.content} conv={one.conv} />
        <span class="meta">
          {one.failed ? (
            <>
              <span class="problem">Not sent: {one.failed}</span>
              <button type="button" onClick={() => void retry(one)}>
                Try again
              </button>
              <button type="button" onClick={() => void discard(one)}>
                Discard
              </button>
            </>
          ) : (
            <span class="mark pending" title="Waiting">
              <Icon name="clock" />
              <span class="hidden">Waiting</span>
            </span>
          )}
        </span>
      </div>
    </li>
  );
}

function Body({ content, conv }: { content: Content; conv: number }) {
  switch (content.kind) {
    case 'text':
      return <Words text={content.text} />;
    case 'file':
      return <File_ content={content} />;
    case 'incident':
      return <IncidentCard incident={content.incident} conv={conv} />;
    case 'sealed':
      return (
        <p class="quiet">
          <Icon name="lock" /> The key of this message has not come yet.
        </p>
      );
    case 'unreadable':
      return (
        <p class="quiet" title={content.why}>
          <Icon name="lock" /> This message cannot be read.
        </p>
      );
    default:
      return null;
  }
}

const LINK = /(https?:\/\/[^\s<>"']+)/g;

/** Text, with addresses as links. */
function Words({ text }: { text: string }) {
  return (
    <p class="words">
      {text.split(LINK).map((part, n) =>
        n % 2 === 1 ? (
          <a key={n} href={part} target="_blank" rel="noopener noreferrer nofollow">
            {part}
          </a>
        ) : (
          part
        ),
      )}
    </p>
  );
}

type FileContent = Extract<Content, { kind: 'file' }>;

function File_({ content }: { content: FileContent }) {
  const { file, name, mime } = content;
  const [url, setUrl] = useState<string | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const [tries, setTries] = useState(0);
  const shown = isPicture(mime);
  useEffect(() => {
    if (!file || !shown) return;
    setProblem(null);
    let made: string | null = null;
    let over = false;
    fetchFile(file, mime).then(
      (blob) => {
        if (over) return;
        made = URL.createObjectURL(blob);
        setUrl(made);
      },
      (error: unknown) => over || setProblem(error instanceof Error ? error.message : String(error)),
    );
    return () => {
      over = true;
      if (made) URL.revokeObjectURL(made);
    };
  }, [file?.sha256, tries]);
  useEffect(() => {
    if (isLive.value && problem) setTries(tries + 1); // what failed without a network is fetched with one
  }, [isLive.value]);
  const save = async () => {
    if (!file) return;
    try {
      const link = document.createElement('a');
      link.href = URL.createObjectURL(await fetchFile(file, mime));
      link.download = name;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error));
    }
  };
  const ratio = content.width && content.height ? `${content.width} / ${content.height}` : undefined;
  if (shown && !problem) {
    return (
      <button type="button" class="picture" style={{ aspectRatio: ratio }} onClick={() => void save()} aria-label={`Save the picture ${name}`}>
        {url ? <img src={url} alt={name} /> : <span class="quiet">{file ? 'Decrypting …' : name}</span>}
      </button>
    );
  }
  return (
    <button type="button" class="file" onClick={() => void save()} disabled={!file}>
      <Icon name="file" />
      <span>
        {name}
        <small class="quiet">{problem ?? (file ? size(file.size) : 'to be uploaded')}</small>
      </span>
    </button>
  );
}

function IncidentCard({ incident, conv }: { incident: Incident; conv: number }) {
  const act = (action: 'acknowledge' | 'resolve') => void send(conv, { kind: 'incident-action', incident: incident.id, action });
  return (
    <article class={`incident ${incident.state}`} aria-label={`Incident: ${incident.title}`}>
      <header>
        <Icon name="alert" /> <strong>{incident.title}</strong>
      </header>
      <p>
        <span class="state">{incident.state}</span> <span class="quiet">{incident.severity}</span>
      </p>
      {incident.summary && <p>{incident.summary}</p>}
      <footer>
        {incident.state === 'firing' && (
          <button type="button" class="primary" onClick={() => act('acknowledge')}>
            Acknowledge
          </button>
        )}
        {incident.state !== 'resolved' && (
          <button type="button" onClick={() => act('resolve')}>
            Resolve
          </button>
        )}
        {incident.links?.map((link) => (
          <a key={link.url} href={link.url} target="_blank" rel="noopener noreferrer">
            {link.name}
          </a>
        ))}
      </footer>
    </article>
  );
}

// The way in: register, sign in, or link this device to one that is signed in.

import { useEffect, useRef, useState } from 'preact/hooks';
import { claimLink, collectLink, login, register, type Claim } from '../api.ts';
import { SOCKET_URL } from '../config.ts';
import type { Account } from '../db.ts';
import { thisDevice } from '../device.ts';
import { Icon } from '../icons.tsx';
import { notice } from '../state.ts';
import type { ServerEvent } from '../wire.ts';
import { Problem, useAction } from './parts.tsx';
import { Scanner } from './scanner.tsx';

type Way = 'in' | 'new' | 'link';

export function SignIn({ onAccount }: { onAccount: (account: Account) => Promise<void> }) {
  const [way, setWay] = useState<Way>('in');
  return (
    <main class="sign-in">
      <h1>
        <Icon name="lock" /> Messenger
      </h1>
      <p class="quiet">What you write is encrypted on your devices. The server passes it on and cannot read it.</p>
      {notice.value && (
        <p class="notice" role="status">
          {notice.value}
        </p>
      )}
      <div class="ways" role="tablist" aria-label="How to sign in">
        {(['in', 'new', 'link'] as const).map((one) => (
          <button key={one} type="button" role="tab" aria-selected={way === one} onClick={() => setWay(one)}>
            {{ in: 'Sign in', new: 'Register', link: 'Link this device' }[one]}
          </button>
        ))}
      </div>
      {way === 'link' ? <Link onAccount={onAccount} /> : <Password key={way} isNew={way === 'new'} onAccount={onAccount} />}
    </main>
  );
}

function Password({ isNew, onAccount }: { isNew: boolean; onAccount: (account: Account) => Promise<void> }) {
  const { busy, problem, run } = useAction();
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const name = String(form.get('name')).trim();
    const password = String(form.get('password'));
    run(async () => onAccount(await (isNew ? register : login)(name, password, thisDevice())));
  };
  return (
    <form onSubmit={submit}>
      <label>
        Name
        <input name="name" autocomplete="username" autocapitalize="none" minLength={2} maxLength={64} required />
      </label>
      <label>
        Password
        <input name="password" type="password" autocomplete={isNew ? 'new-password' : 'current-password'} minLength={isNew ? 8 : 1} required />
      </label>
      <Problem>{problem}</Problem>
      <button class="primary" disabled={busy}>
        {busy ? 'One moment …' : isNew ? 'Register' : 'Sign in'}
      </button>
    </form>
  );
}

function Link({ onAccount }: { onAccount: (account: Account) => Promise<void> }) {
  const { busy, problem, run } = useAction();
  const [claim, setClaim] = useState<Claim | null>(null);
  const [scanning, setScanning] = useState(false);
  const begin = (offered: { payload: string } | { code: string }) => {
    setScanning(false);
    run(async () => setClaim(await claimLink(offered, thisDevice())));
  };
  if (claim) return <Waiting claim={claim} onAccount={onAccount} onOver={() => setClaim(null)} />;
  if (scanning) return <Scanner onFound={(payload) => begin({ payload })} onStop={() => setScanning(false)} />;
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    begin({ code: String(new FormData(event.currentTarget as HTMLFormElement).get('code')) });
  };
  return (
    <form onSubmit={submit}>
      <p>On a device that is signed in, open Devices and choose “Link a device”.</p>
      <button type="button" class="primary" onClick={() => setScanning(true)} disabled={busy}>
        <Icon name="camera" /> Scan its QR code
      </button>
      <label>
        or type its code
        <input name="code" autocomplete="off" autocapitalize="characters" spellcheck={false} required />
      </label>
      <Problem>{problem}</Problem>
      <button disabled={busy}>Go on</button>
    </form>
  );
}

/** Claimed: both devices show the same code, and the other one decides. */
function Waiting({ claim, onAccount, onOver }: { claim: Claim; onAccount: (account: Account) => Promise<void>; onOver: () => void }) {
  const { problem, run } = useAction();
  const done = useRef(false);
  useEffect(() => {
    const socket = new WebSocket(SOCKET_URL);
    const finish = (work: () => Promise<void>) => {
      if (done.current) return;
      done.current = true;
      run(work);
    };
    socket.onopen = () => socket.send(JSON.stringify({ type: 'link', token: claim.claim_token }));
    socket.onmessage = (message: MessageEvent<string>) => {
      const event = JSON.parse(message.data) as ServerEvent;
      if (event.type === 'error') finish(() => Promise.reject(new Error(event.detail)));
      if (event.type !== 'link') return;
      if (event.event === 'confirmed') finish(async () => onAccount(await collectLink(claim.claim_token)));
      if (event.event === 'refused') finish(() => Promise.reject(new Error('The other device refused.')));
    };
    socket.onclose = () => finish(() => Promise.reject(new Error('The connection ended before the other device decided.')));
    return () => {
      done.current = true;
      socket.close();
    };
  }, [claim]);
  return (
    <section class="waiting" aria-live="polite">
      <p>The other device must show the same code:</p>
      <output class="comparison">{claim.comparison}</output>
      {problem ? <Problem>{problem}</Problem> : <p class="quiet">Waiting until you confirm there …</p>}
      <button type="button" onClick={onOver}>
        {problem ? 'Try again' : 'Cancel'}
      </button>
    </section>
  );
}

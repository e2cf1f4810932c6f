// This person's picture, notifications on this device, and the way out.

import { useRef, useState } from 'preact/hooks';
import { isPicture } from '../files.ts';
import { account, go, nameOf, reloadPeople, self, the } from '../state.ts';
import { Avatar, Dialog, IconButton, Problem, useAction } from './parts.tsx';

const MAX_PICTURE_BYTES = 5 * 1024 * 1024;

export function Settings({ onSignOut }: { onSignOut: () => Promise<void> }) {
  const { busy, problem, run } = useAction();
  const [leaving, setLeaving] = useState(false);
  const [allowed, setAllowed] = useState('Notification' in window ? Notification.permission : 'denied');
  const picker = useRef<HTMLInputElement>(null);
  const setPicture = (file: File | undefined) =>
    run(async () => {
      if (!file) return;
      if (!isPicture(file.type)) throw new Error('Choose a PNG, JPEG, GIF, WebP or AVIF picture.');
      if (file.size > MAX_PICTURE_BYTES) throw new Error('A picture may have at most 5 MB.');
      const { url } = await the().api.setAvatar(file);
      await the().db.put('people', { user: self.value, name: nameOf(self.value), avatar: url });
      await reloadPeople();
    });
  return (
    <section class="page" aria-labelledby="settings-title">
      <header>
        <IconButton icon="back" label="Back" class="icon-button only-narrow" onClick={() => go('#/')} />
        <h2 id="settings-title">Settings</h2>
      </header>
      <div class="who">
        <Avatar user={self.value} name={nameOf(self.value)} />
        <strong>{account.value?.name}</strong>
        <button disabled={busy} onClick={() => picker.current?.click()}>
          Change picture
        </button>
        <input ref={picker} type="file" accept="image/*" hidden onChange={(event) => setPicture(event.currentTarget.files?.[0])} />
      </div>
      <p class="quiet">Your picture can be seen by anybody who has its address. It is not encrypted.</p>
      <Problem>{problem}</Problem>
      <h3>Notifications</h3>
      {allowed === 'granted' ? (
        <p>On, while Messenger is open in a tab that you do not look at.</p>
      ) : allowed === 'denied' ? (
        <p>Your browser does not allow them for this page.</p>
      ) : (
        <button onClick={() => void Notification.requestPermission().then(setAllowed)}>Turn on</button>
      )}
      <h3>This device</h3>
      <button onClick={() => go('#/devices')}>Devices</button>{' '}
      <button class="danger" onClick={() => setLeaving(true)}>
        Sign out
      </button>
      {leaving && (
        <Dialog title="Sign out?" onClose={() => setLeaving(false)}>
          <p>Messages and keys on this device are erased. What was not sent yet is lost.</p>
          <button class="danger" disabled={busy} onClick={() => run(onSignOut)}>
            Sign out and erase
          </button>
          <Problem>{problem}</Problem>
        </Dialog>
      )}
    </section>
  );
}


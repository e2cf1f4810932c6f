// The devices of this person: link another one, rename, revoke.

import { useEffect, useState } from 'preact/hooks';
import type { Device, Offer } from '../api.ts';
import { rememberLink } from '../db.ts';
import { Icon } from '../icons.tsx';
import { bus, devicesChanged, go, the } from '../state.ts';
import type { LinkEvent } from '../wire.ts';
import { ago, countdown } from '../words.ts';
import { Dialog, IconButton, Problem, useAction, useNow } from './parts.tsx';

const ICONS = { WEB: 'web', MOBILE: 'mobile', DESKTOP: 'desktop' } as const;
const KINDS = { WEB: 'Browser', MOBILE: 'Phone', DESKTOP: 'Desktop' } as const;
const LOOK_EVERY_MS = 30_000;

export function Devices() {
  const [devices, setDevices] = useState<Device[] | null>(null);
  const [linking, setLinking] = useState(false);
  const { problem, run } = useAction();
  const now = useNow(LOOK_EVERY_MS);
  const look = () => run(async () => setDevices(await the().api.devices()));
  useEffect(look, [devicesChanged.value, now]);
  return (
    <section class="page" aria-labelledby="devices-title">
      <header>
        <IconButton icon="back" label="Back" class="icon-button only-narrow" onClick={() => go('#/')} />
        <h2 id="devices-title">Devices</h2>
        <button class="primary" onClick={() => setLinking(true)}>
          Link a device
        </button>
      </header>
      <Problem>{problem}</Problem>
      {devices === null && !problem && <p class="quiet">One moment …</p>}
      <ul class="devices">
        {devices?.map((one) => (
          <Row key={one.id} device={one} now={now} onChange={look} />
        ))}
      </ul>
      {linking && <LinkDialog onClose={() => setLinking(false)} onLinked={look} />}
    </section>
  );
}

function Row({ device, now, onChange }: { device: Device; now: number; onChange: () => void }) {
  const [editing, setEditing] = useState(false);
  const [revoking, setRevoking] = useState(false);
  const { busy, problem, run } = useAction();
  const rename = (event: SubmitEvent) => {
    event.preventDefault();
    const name = String(new FormData(event.currentTarget as HTMLFormElement).get('name')).trim();
    run(async () => {
      if (name !== device.name) await the().api.rename(device.id, name);
      setEditing(false);
      onChange();
    });
  };
  const revoke = () =>
    run(async () => {
      await the().api.revoke(device.id);
      setRevoking(false);
      onChange();
    });
  const seen = device.current ? 'this device' : device.connected ? 'online' : device.last_seen_at ? `last seen ${ago(device.last_seen_at, now)}` : 'never connected';
  return (
    <li data-device={device.id}>
      <span class="device-icon" role="img" aria-label={KINDS[device.type]} data-type={device.type}>
        <Icon name={ICONS[device.type]} />
      </span>
      {editing ? (
        <form onSubmit={rename} class="in-line">
          <label>
            <span class="hidden">Name of the device</span>
            <input name="name" defaultValue={device.name} maxLength={64} required autofocus />
          </label>
          <button disabled={busy}>Save</button>
          <button type="button" onClick={() => setEditing(false)}>
            Cancel
          </button>
        </form>
      ) : (
        <>
          <div class="device-words">
            <strong>{device.name}</strong> {device.current && <span class="badge">Current</span>}
            <small class="quiet">
              {KINDS[device.type]}, {seen}
            </small>
          </div>
          <span class="device-actions">
            <button onClick={() => setEditing(true)}>Rename</button>
            <button class="danger" onClick={() => setRevoking(true)}>
              Revoke
            </button>
          </span>
        </>
      )}
      <Problem>{problem}</Problem>
      {revoking && (
        <Dialog title={`Revoke ${device.name}?`} onClose={() => setRevoking(false)}>
          <p>
            {device.current
              ? 'This is the device you are using. It is signed out, and everything on it is erased.'
              : 'It is signed out at once, everything on it is erased, and it cannot read what is written from now on.'}
          </p>
          <Problem>{problem}</Problem>
          <button class="danger" disabled={busy} onClick={revoke}>
            Revoke
          </button>
        </Dialog>
      )}
    </li>
  );
}

function LinkDialog({ onClose, onLinked }: { onClose: () => void; onLinked: () => void }) {
  const [offer, setOffer] = useState<Offer | null>(null);
  const [endsAt, setEndsAt] = useState(0);
  const [claimed, setClaimed] = useState<LinkEvent | null>(null);
  const [done, setDone] = useState<string | null>(null);
  const { busy, problem, run } = useAction();
  const now = useNow(500);
  const offerOne = () =>
    run(async () => {
      setClaimed(null);
      const made = await the().api.offerLink();
      setEndsAt(Date.now() / 1000 + made.expires_in); // by how long it lives, since clocks differ
      setOffer(made);
    });
  useEffect(offerOne, []);
  useEffect(
    () =>
      bus.listen((said) => {
        if (!('news' in said) || said.news !== 'link' || said.event.link !== offer?.link) return;
        if (said.event.event === 'claimed') setClaimed(said.event);
        if (said.event.event === 'completed') {
          setDone(claimed?.name ?? 'The device');
          onLinked();
        }
      }),
    [offer, claimed],
  );
  const decide = (accept: boolean) =>
    run(async () => {
      if (!offer) return;
      if (accept) await rememberLink(the().db, offer.link); // the new device may collect while this one is away
      await the().api.confirmLink(offer.link, accept);
      if (!accept) onClose();
    });
  const left = endsAt - now;
  const close = () => onClose();
  if (done) {
    return (
      <Dialog title="Linked" onClose={close}>
        <p role="status">{done} is signed in, and is given the keys to earlier messages. It is in the list now.</p>
        <button class="primary" onClick={close}>
          Done
        </button>
      </Dialog>
    );
  }
  if (claimed) {
    return (
      <Dialog title="Is this your device?" onClose={close}>
        <p>
          <strong>{claimed.name}</strong> <span class="quiet">{claimed.device_type && KINDS[claimed.device_type]}</span>
        </p>
        <p>It must show the same code:</p>
        <output class="comparison">{claimed.comparison}</output>
        <Problem>{problem}</Problem>
        <div class="choice">
          <button class="danger" disabled={busy} onClick={() => decide(false)}>
            No, refuse
          </button>
          <button class="primary" disabled={busy} onClick={() => decide(true)}>
            Yes, the codes are equal
          </button>
        </div>
      </Dialog>
    );
  }
  return (
    <Dialog title="Link a device" onClose={close}>
      <p>On the new device choose “Link this device”, then scan this or type the code.</p>
      {offer && left > 0 ? (
        <>
          <img class="qr" src={`data:image/svg+xml,${encodeURIComponent(offer.qr_svg)}`} alt="QR code of the link" />
          <output class="code">{offer.code}</output>
          <p class="quiet" role="timer">
            It works for {countdown(Math.min(left, offer.expires_in))}
          </p>
        </>
      ) : offer ? (
        <>
          <p role="status">This code has run out.</p>
          <button class="primary" disabled={busy} onClick={offerOne}>
            New code
          </button>
        </>
      ) : (
        !problem && <p class="quiet">One moment …</p>
      )}
      <Problem>{problem}</Problem>
    </Dialog>
  );
}

// A call, over everything else.

import { useEffect, useRef, useState } from 'preact/hooks';
import { answer, call, hangUp, reject, toggle, type Call } from '../calls.ts';
import { Icon } from '../icons.tsx';
import { nameOf } from '../state.ts';
import { countdown } from '../words.ts';
import { Avatar, useModal, useNow } from './parts.tsx';

export function CallView() {
  return call.value && <Over key={call.value.id} now={call.value} />;
}

/** Modal: above any dialog that is open, and the keyboard stays in it. Escape neither answers nor ends a call. */
function Over({ now }: { now: Call }) {
  const dialog = useModal();
  useEffect(() => {
    if (now.incoming) dialog.current?.focus(); // and no button: whoever is typing must neither answer nor decline by it
  }, []);
  return (
    <dialog
      ref={dialog}
      class="call"
      tabIndex={-1}
      aria-label={`${now.video ? 'Video call' : 'Call'} with ${nameOf(now.user)}`}
      closedby="none"
      onCancel={(event) => event.preventDefault()} // in browsers that do not know the line above
    >
      <Avatar user={now.user} name={nameOf(now.user)} />
      <h2>{nameOf(now.user)}</h2>
      <p role="status">{words(now)}</p>
      {now.state === 'connected' && <Lasting />}
      {now.theirs && <Media stream={now.theirs} video={now.video} label={`What ${nameOf(now.user)} shows`} />}
      {now.mine && now.video && <Media stream={now.mine} video muted label="What you show" />}
      {now.state !== 'ended' && <Controls now={now} />}
    </dialog>
  );
}

function words(now: Call): string {
  if (now.state === 'ended') return now.words;
  if (now.state === 'connected') return 'Connected';
  if (now.state === 'connecting') return 'Connecting …';
  return now.incoming ? (now.video ? 'wants to talk by video' : 'is calling') : 'Ringing …';
}

function Lasting() {
  const [since] = useState(() => Date.now() / 1000);
  return <p class="quiet">{countdown(useNow(1_000) - since)}</p>;
}

function Media({ stream, video, muted, label }: { stream: MediaStream; video: boolean; muted?: boolean; label: string }) {
  const element = useRef<HTMLVideoElement>(null);
  useEffect(() => {
    if (element.current) element.current.srcObject = stream;
  }, [stream]);
  return <video ref={element} class={`${muted ? 'mine' : 'theirs'}${video ? '' : ' hidden'}`} autoPlay playsInline muted={muted} aria-label={label} />;
}

function Controls({ now }: { now: Call }) {
  const [audio, setAudio] = useState(true);
  const [video, setVideo] = useState(true);
  const first = useRef<HTMLButtonElement>(null);
  const rings = now.incoming && now.state === 'ringing';
  useEffect(() => {
    first.current?.focus();
  }, [now.state]);
  if (rings) {
    return (
      <div class="choice">
        <button class="danger" onClick={reject}>
          Decline
        </button>
        <button class="primary" onClick={() => void answer()}>
          <Icon name={now.video ? 'video' : 'phone'} /> Answer
        </button>
      </div>
    );
  }
  return (
    <div class="choice">
      <button aria-pressed={!audio} onClick={() => setAudio(toggle('audio'))}>
        <Icon name="mic" /> {audio ? 'Mute' : 'Unmute'}
      </button>
      {now.video && (
        <button aria-pressed={!video} onClick={() => setVideo(toggle('video'))}>
          <Icon name="video" /> {video ? 'Camera off' : 'Camera on'}
        </button>
      )}
      <button ref={first} autofocus class="danger" onClick={() => hangUp()}>
        Hang up
      </button>
    </div>
  );
}

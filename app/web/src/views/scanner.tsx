// The camera, looked at until it shows a QR code.

import { useEffect, useRef, useState } from 'preact/hooks';
import { Problem } from './parts.tsx';

const LOOK_EVERY_MS = 150;

export function Scanner({ onFound, onStop }: { onFound: (text: string) => void; onStop: () => void }) {
  const video = useRef<HTMLVideoElement>(null);
  const [problem, setProblem] = useState<string | null>(null);
  useEffect(() => {
    let stream: MediaStream | null = null;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let stopped = false;
    const start = async () => {
      const { default: decode } = await import('qr/decode.js');
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment' } });
      if (stopped || !video.current) {
        for (const track of stream.getTracks()) track.stop(); // it was allowed after it was not wanted any more
        return;
      }
      video.current.srcObject = stream;
      await video.current.play();
      const canvas = document.createElement('canvas');
      const pen = canvas.getContext('2d', { willReadFrequently: true });
      const look = () => {
        const from = video.current;
        if (stopped || !from || !pen) return;
        canvas.width = from.videoWidth;
        canvas.height = from.videoHeight;
        if (canvas.width > 0) {
          pen.drawImage(from, 0, 0);
          try {
            return onFound(decode(pen.getImageData(0, 0, canvas.width, canvas.height)));
          } catch {
            // No code in this picture.
          }
        }
        timer = setTimeout(look, LOOK_EVERY_MS);
      };
      look();
    };
    start().catch((error: unknown) => {
      const refused = error instanceof DOMException && error.name === 'NotAllowedError';
      setProblem(refused ? 'The camera may not be used. Type the code instead.' : 'There is no camera to use. Type the code instead.');
    });
    return () => {
      stopped = true;
      clearTimeout(timer);
      for (const track of stream?.getTracks() ?? []) track.stop();
    };
  }, []);
  return (
    <section class="scanner">
      <video ref={video} muted playsInline aria-label="What the camera sees" />
      <Problem>{problem}</Problem>
      <button type="button" onClick={onStop}>
        Type the code instead
      </button>
    </section>
  );
}

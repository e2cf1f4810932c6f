// Attachments: fetched, decrypted and kept, so that they open without a network afterwards.

import type { EncryptedFile } from './content.ts';
import { keepFile } from './db.ts';
import { the } from './state.ts';

/** What a browser may show inline. Anything else, SVG and HTML above all, could run as a page of ours. */
const PICTURES = ['image/png', 'image/jpeg', 'image/gif', 'image/webp', 'image/avif'];
export const MAX_FILE_BYTES = 25 * 1024 * 1024;

export function isPicture(mime: string): boolean {
  return PICTURES.includes(mime);
}

/** The file behind a message, of a type that is safe to hand to the browser. */
export async function fetchFile(file: EncryptedFile, mime: string): Promise<Blob> {
  const { db, api } = the();
  const kept = await db.get('files', [file.sha256, file.key]);
  const type = isPicture(mime) ? mime : 'application/octet-stream';
  if (kept) return new Blob([kept.blob], { type });
  const sealed = await api.download(file.sha256);
  const { unseal } = await import('./crypto.ts');
  const blob = new Blob([await unseal(sealed, file.key)], { type });
  await keepFile(db, { sha256: file.sha256, key: file.key, blob });
  return blob;
}

/** Width and height of a picture, so that its place is kept while it is decrypted; nothing when it is none. */
export async function dimensions(file: Blob): Promise<{ width?: number; height?: number }> {
  if (!isPicture(file.type)) return {};
  try {
    const picture = await createImageBitmap(file);
    const { width, height } = picture;
    picture.close();
    return { width, height };
  } catch {
    return {};
  }
}

// Where the messenger's API is: beside this page, or where the page's head says (a CDN or static host).

const named = document.querySelector<HTMLMetaElement>('meta[name="messenger-api"]')?.content.trim();

/** Ends with a slash. */
export const API = new URL(named ? named.replace(/\/*$/, '/') : './', document.baseURI);

export const SOCKET_URL = new URL('ws', API).href.replace(/^http/, 'ws');

/** The address of something the API named, absolute or from its root. */
export function absolute(path: string): string {
  return new URL(path, API).href;
}

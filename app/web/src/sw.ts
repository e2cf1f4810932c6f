// The service worker: the app opens without a network. Messages are none of its business; they are in IndexedDB.

import { ExpirationPlugin } from 'workbox-expiration';
import { cleanupOutdatedCaches, createHandlerBoundToURL, precacheAndRoute } from 'workbox-precaching';
import { NavigationRoute, registerRoute } from 'workbox-routing';
import { CacheFirst } from 'workbox-strategies';

type Worker_ = typeof globalThis & {
  __WB_MANIFEST: { url: string; revision: string | null }[];
  skipWaiting(): Promise<void>;
  clients: { matchAll(options: object): Promise<{ focus(): Promise<unknown>; navigate(url: string): Promise<unknown> }[]>; openWindow(url: string): Promise<unknown> };
};
declare const self: Worker_;

precacheAndRoute(self.__WB_MANIFEST);
cleanupOutdatedCaches();
registerRoute(new NavigationRoute(createHandlerBoundToURL('index.html'), { denylist: [/\/(api|auth|media|health|ws|calls|test)(\/|$)/] }));
// Several megabytes, needed after signing in only, and named by what is in it.
registerRoute(({ url }) => url.pathname.endsWith('.wasm'), new CacheFirst({ cacheName: 'wasm', plugins: [new ExpirationPlugin({ maxEntries: 2 })] }));
registerRoute(
  ({ url }) => /\/media\/avatars\/[0-9a-f]{64}-\d+\.webp$/.test(url.pathname),
  new CacheFirst({ cacheName: 'pictures', plugins: [new ExpirationPlugin({ maxEntries: 500 })] }),
);

self.addEventListener('message', (event) => {
  if ((event as MessageEvent<{ type?: string }>).data?.type === 'SKIP_WAITING') void self.skipWaiting();
});

self.addEventListener('notificationclick', (event) => {
  const clicked = event as Event & { notification: Notification; waitUntil(work: Promise<unknown>): void };
  clicked.notification.close();
  const { url } = clicked.notification.data as { url: string };
  const open = async () => {
    const [tab] = await self.clients.matchAll({ type: 'window' });
    if (!tab) return self.clients.openWindow(`./${url}`);
    await tab.focus();
    return tab.navigate(`./${url}`);
  };
  clicked.waitUntil(open());
});

// Which view is shown: by the account, then by the address after the #.

import type { Account } from './db.ts';
import { account, notice, route, updateReady } from './state.ts';
import { CallView } from './views/call.tsx';
import { Chat } from './views/chat.tsx';
import { Devices } from './views/devices.tsx';
import { Connection, Sidebar } from './views/list.tsx';
import { Settings } from './views/settings.tsx';
import { SignIn } from './views/signin.tsx';

type Doors = { onAccount: (account: Account) => Promise<void>; onSignOut: () => Promise<void> };

export function App({ onAccount, onSignOut }: Doors) {
  if (!account.value) return <SignIn onAccount={onAccount} />;
  const [, view = '', id = '', at] = route.value.split('/');
  const isHome = view === '';
  return (
    <div class={`frame${isHome ? ' home' : ''}`}>
      <Sidebar />
      <main>
        <div class="only-narrow">
          <Connection />
        </div>
        <Notices />
        {view === 'c' && Number(id) > 0 ? (
          <Chat key={`${id}/${at ?? ''}`} id={Number(id)} at={at ? Number(at) : null} />
        ) : view === 'devices' ? (
          <Devices />
        ) : view === 'settings' ? (
          <Settings onSignOut={onSignOut} />
        ) : (
          <p class="empty">Choose a conversation.</p>
        )}
      </main>
      <CallView />
    </div>
  );
}

function Notices() {
  return (
    <>
      {notice.value && (
        <p class="notice" role="status">
          {notice.value} <button onClick={() => (notice.value = null)}>Dismiss</button>
        </p>
      )}
      {updateReady.value && (
        <p class="notice" role="status">
          A new version is here. <button onClick={() => updateReady.value?.()}>Reload</button>
        </p>
      )}
    </>
  );
}

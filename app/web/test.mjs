// Bundles the tests and runs them on node's own runner: the oldest node that is supported reads no TypeScript.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { build } from 'vite';

const folder = mkdtempSync(join(tmpdir(), 'messenger-web-tests-'));
const input = Object.fromEntries(readdirSync('test').map((name) => [name.replace('.ts', ''), resolve('test', name)]));
try {
  await build({
    configFile: false,
    logLevel: 'error',
    publicDir: false,
    build: { ssr: true, target: 'node20', outDir: folder, emptyOutDir: true, rollupOptions: { input, output: { entryFileNames: '[name].mjs' } } },
  });
  const files = readdirSync(folder).filter((name) => name.endsWith('.test.mjs')).map((name) => join(folder, name));
  const env = { ...process.env, TRANSCRIPTS: resolve('../../tests/transcripts') };
  process.exitCode = spawnSync(process.execPath, ['--test', '--test-reporter=spec', ...files], { stdio: 'inherit', env }).status ?? 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}

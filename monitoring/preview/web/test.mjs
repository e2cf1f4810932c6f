// Bundles the tests of what needs no browser, and runs them with Node's own runner.
import { build } from 'esbuild';
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const folder = await mkdtemp(join(tmpdir(), 'page-'));
const outfile = join(folder, 'pure.test.mjs');
const banner =
  "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" +
  "globalThis.navigator ??= { language: 'en-US', languages: ['en-US'] };";
try {
  await build({
    entryPoints: ['src/pure.test.ts'],
    bundle: true,
    platform: 'node',
    format: 'esm',
    outfile,
    banner: { js: banner },
    logLevel: 'error',
  });
  process.exitCode = spawnSync(process.execPath, ['--test', outfile], { stdio: 'inherit' }).status ?? 1;
} finally {
  await rm(folder, { recursive: true });
}

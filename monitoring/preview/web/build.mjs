// Builds the page into ../static: one script, one style sheet. The same lock file gives the same bytes.
import { build } from 'esbuild';
import { rm } from 'node:fs/promises';

await rm('../static', { recursive: true, force: true });
await build({
  entryPoints: { app: 'src/main.ts' },
  outdir: '../static',
  bundle: true,
  minify: true,
  format: 'iife',
  target: 'es2022',
  charset: 'utf8',
  legalComments: 'linked',
  define: { 'process.env.NODE_ENV': '"production"', global: 'globalThis' },
  logLevel: 'warning',
});

// Builds the page into dist: hashed names, a service worker that knows them, Brotli and gzip beside each file.
// The same lock file gives the same bytes.
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'vite';
import { injectManifest } from 'workbox-build';

const shared = { configFile: false, logLevel: 'warn', base: './', oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } } };
const target = ['es2022'];

await build({
  ...shared,
  build: { target, outDir: 'dist', emptyOutDir: true, assetsInlineLimit: 0, modulePreload: { polyfill: false }, reportCompressedSize: false, chunkSizeWarningLimit: 2000 },
});

// The worker's name has no hash: browsers ask for it anew, and its bytes change with what it lists.
await build({
  ...shared,
  publicDir: false,
  define: { 'process.env.NODE_ENV': '"production"' },
  build: {
    target,
    outDir: 'dist',
    emptyOutDir: false,
    reportCompressedSize: false,
    lib: { entry: 'src/sw.ts', formats: ['iife'], name: 'sw', fileName: () => 'sw.js' },
  },
});

const { warnings } = await injectManifest({
  swSrc: 'dist/sw.js',
  swDest: 'dist/sw.js',
  globDirectory: 'dist',
  globPatterns: ['index.html', 'icon.svg', 'manifest.webmanifest', 'assets/*.{js,css}'],
  dontCacheBustURLsMatching: /-[\w-]{8,}\./,
  maximumFileSizeToCacheInBytes: 4_000_000,
});
if (warnings.length > 0) throw new Error(warnings.join('\n'));

for (const name of readdirSync('dist', { recursive: true })) {
  const path = join('dist', name);
  if (!statSync(path).isFile() || /\.(br|gz)$/.test(path)) continue;
  const bytes = readFileSync(path);
  writeFileSync(`${path}.gz`, gzipSync(bytes, { level: 9 }));
  writeFileSync(`${path}.br`, brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } }));
}

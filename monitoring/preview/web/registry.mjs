// Prints what Grafana itself knows, as the JSON that monitoring/lint/grafana.json is.
// `npm run registry` writes it; a test compares. Nothing here touches a browser.
import { build } from 'esbuild';
import { createRequire } from 'node:module';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const source = `
  import * as grafana from '@grafana/data';
  const ids = (registry) => registry.list().map((one) => one.id).sort();
  const aliases = (registry) => registry.list().flatMap((one) => one.aliasIds ?? []).sort();
  export default {
    units: grafana.getValueFormats().flatMap((category) => category.submenu.map((one) => one.value)).sort(),
    reducers: [...ids(grafana.fieldReducers), ...aliases(grafana.fieldReducers)].sort(),
    fieldMatchers: ids(grafana.fieldMatchers),
    transformations: Object.values(grafana.DataTransformerID).sort(),
    colorModes: ids(grafana.fieldColorModeRegistry),
  };
`;
// The package asks for the language of the browser as soon as it is loaded.
const banner =
  "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" +
  "globalThis.navigator ??= { language: 'en-US', languages: ['en-US'] };";

const folder = await mkdtemp(join(tmpdir(), 'registry-'));
try {
  const outfile = join(folder, 'registry.mjs');
  await build({
    stdin: { contents: source, resolveDir: import.meta.dirname },
    bundle: true,
    platform: 'node',
    format: 'esm',
    outfile,
    banner: { js: banner },
    logLevel: 'error',
  });
  const { version } = JSON.parse(
    await readFile(createRequire(import.meta.url).resolve('@grafana/data/package.json'), 'utf8'),
  );
  const { default: registry } = await import(pathToFileURL(outfile));
  process.stdout.write(JSON.stringify({ version, ...registry }, null, 1) + '\n');
} finally {
  await rm(folder, { recursive: true });
}

/** What Grafana's own library makes of a board's panels: colours of values, and the columns of tables.
 *
 * Reads {colors: [{fieldConfig, value}], tables: [{transformations, frames}]} and answers with as many of each.
 */
const { createRequire } = require("node:module");
const { readFileSync } = require("node:fs");

const data = createRequire(`${process.argv[2]}/package.json`)("@grafana/data");

globalThis.navigator ??= { language: "en", languages: ["en"] }; // which Node has from 21 on

const transformers = new Map(Object.values(data.standardTransformers).map((one) => [one.id, one]));
data.standardTransformersRegistry.setInit(() =>
  [...transformers.values()].map((one) => ({ id: one.id, name: one.name, transformation: async () => one })),
);

function color({ fieldConfig, value }) {
  const theme = data.createTheme();
  const frame = data.toDataFrame({ fields: [{ name: "Value", type: "number", values: [value] }] });
  const known = ["color", "thresholds"].map((id) => ({ id, path: id, name: id, process: (value) => value, shouldApply: () => true }));
  const registry = new data.Registry(() => known);
  const config = { ...fieldConfig, defaults: { ...fieldConfig.defaults, color: { mode: "thresholds" } } };
  const options = { data: [frame], fieldConfig: config, fieldConfigRegistry: registry, replaceVariables: (text) => text, theme };
  const [field] = data.applyFieldOverrides(options)[0].fields;
  return field.display(value).color;
}

function table({ transformations, frames }) {
  return new Promise((resolve) =>
    data
      .transformDataFrame(transformations, frames.map((frame) => data.toDataFrame(frame)), { interpolate: (text) => text })
      .subscribe(([frame]) =>
        resolve(frame.fields.map((field) => [data.getFieldDisplayName(field, frame), [...field.values]])),
      ),
  );
}

async function main() {
  const asked = JSON.parse(readFileSync(0, "utf-8"));
  const colors = asked.colors.map(color);
  globalThis.window = { grafanaBootData: { settings: {} } }; // only now: the rest takes it for a browser
  const tables = await Promise.all(asked.tables.map(table));
  process.stdout.write(JSON.stringify({ colors, tables }));
}

main();

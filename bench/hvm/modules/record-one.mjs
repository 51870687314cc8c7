// node record-one.mjs NAME OUT: writes OUT/N.wasm and OUT/N.json for each module that NAME uses.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { recorded } from "./record.mjs";
import { PACKAGES } from "./packages.mjs";

const [name, out] = process.argv.slice(2);
await PACKAGES[name]();
mkdirSync(out, { recursive: true });
for (const [id, { bytes, trace }] of recorded()) {
  const file = join(out, id.slice(0, 16));
  writeFileSync(`${file}.wasm`, bytes);
  writeFileSync(`${file}.json`, JSON.stringify({ name, ...trace }));
}
process.exit(0);

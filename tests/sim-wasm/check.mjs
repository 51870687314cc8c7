// Plays the same seeds natively and in wasm, and compares the trace hashes: the machines must not depend on the host.
// Usage: node tests/sim-wasm/check.mjs [SEED...]
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const seeds = process.argv.length > 2 ? process.argv.slice(2) : ["1", "2", "3", "4294967297"];
const root = fileURLToPath(new URL("../..", import.meta.url));
const cargo = (...args) => execFileSync("cargo", args, { cwd: root, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });

cargo("build", "--quiet", "-p", "peeredge-sim-wasm", "--target", "wasm32-unknown-unknown", "--release");
const native = new Map(
  cargo("run", "--quiet", "-p", "peeredge-sim", "--example", "trace_hash", "--", ...seeds)
    .trim()
    .split("\n")
    .map((line) => line.split(" ")),
);

const target = process.env.CARGO_TARGET_DIR ?? join(root, "target");
const wasm = join(target, "wasm32-unknown-unknown/release/peeredge_sim_wasm.wasm");
// No imports are given: a module that wanted a clock, a random source or anything else of the host would not start.
const { instance } = await WebAssembly.instantiate(readFileSync(wasm), {});

let failed = false;
for (const seed of seeds) {
  const wide = BigInt(seed);
  const at = instance.exports.trace_hash(Number(wide & 0xffffffffn), Number(wide >> 32n)) >>> 0;
  const hash = Buffer.from(instance.exports.memory.buffer, at, 32).toString("hex");
  const same = hash === native.get(seed);
  failed ||= !same;
  console.log(`seed ${seed}: ${same ? "same" : `native ${native.get(seed)}, wasm`} ${hash}`);
}
if (failed) {
  console.error("The same seed went another way in wasm than natively.");
  process.exit(1);
}

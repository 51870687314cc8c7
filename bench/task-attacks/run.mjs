// What strangers try with tasks, measured. Parts, each of which can be run alone by its word (all by default):
//
//   engines  made-up tasks that try to come to other ends elsewhere, to keep more in a frame than is counted, or to take long to compile:
//            rewritten, compiled and run in wasmtime and three settings of V8
//   liars    one liar among three workers, by each way to lie, and workers that answer nothing: the real dispatcher on a virtual clock
//   relay    the same with a tab that lies beside an honest one and a native worker, at the real relay
//   page     how long a page's thread is ever busy while it reads and runs strangers' tasks
//   memory   what a worker's process takes over what it agreed to
//
// A quarter of the tasks of `engines` are of shapes that take long to compile, all of them with `--shapes`; with `--quickly` wasmtime
// compiles all of them as it does those that take it too long.
//
// Prints tables, and last one line of JSON. `--count N` (tasks made up, default 20,000), `--lies N` (tasks a way to lie, default 10,000),
// `--rounds N` (liars a way at the real relay, default 10), `--seed N`, `--quick` (300, 300 and 1), `--debug` (the build of the tests),
// `--built` (nothing is built).
import { execFileSync } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { sdk } from "../../scripts/lib/steps.mjs";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const TARGET = process.env.CARGO_TARGET_DIR ?? join(ROOT, "target");
const PARTS = ["engines", "liars", "relay", "page", "memory"];
const words = process.argv.slice(2);
const named = words.filter((word) => PARTS.includes(word));
const has = (part) => named.length === 0 || named.includes(part);
const quick = words.includes("--quick");
const argument = (name, otherwise) => {
  const at = words.indexOf(name);
  return at < 0 ? otherwise : Number(words[at + 1]);
};
const count = argument("--count", quick ? 300 : 20_000);
const lies = argument("--lies", quick ? 300 : 10_000);
const rounds = argument("--rounds", quick ? 1 : 10);
const seed = argument("--seed", 1);
const isDebug = words.includes("--debug");

const dist = process.env.PEEREDGE_DIST ?? join(ROOT, "dist");
if (!process.env.PEEREDGE_DIST) await sdk();
// The relay takes what begins like this for settings.
delete process.env.PEEREDGE_DIST;
const program = (name) => {
  const build = ["build", "--quiet", "--workspace", ...(isDebug ? [] : ["--release"]), "--example", name];
  if (!words.includes("--built")) execFileSync("cargo", build, { cwd: ROOT, stdio: ["ignore", "inherit", "inherit"] });
  return join(TARGET, isDebug ? "debug" : "release", "examples", name);
};

// Each part is loaded when it is run: what needs no browser loads none.
const figures = {};
if (has("engines")) {
  const { engines } = await import("./engines.mjs");
  Object.assign(figures, await engines(program("task_search"), dist, count, seed, { shapes: words.includes("--shapes"), quickly: words.includes("--quickly") }));
}
if (has("liars")) {
  const { onVirtualTime } = await import("./liars.mjs");
  Object.assign(figures, onVirtualTime(program("task_liars"), lies, seed));
}
if (has("relay")) {
  const { atTheRelay } = await import("./relay.mjs");
  Object.assign(figures, await atTheRelay(rounds, 5));
}
if (has("page")) {
  const { page } = await import("./page.mjs");
  Object.assign(figures, await page());
}
if (has("memory")) {
  const { memory } = await import("./memory.mjs");
  Object.assign(figures, await memory());
}
// Of both parts about liars.
for (const name of ["forged_results", "honest_exposed"]) {
  if (`relay_${name}` in figures) figures[name] = (figures[name] ?? 0) + figures[`relay_${name}`];
}
console.log(JSON.stringify({ bench: "task-attacks", figures }));
const { signed_differences = 0, engines_died = 0, forged_results = 0, honest_exposed = 0 } = figures;
process.exitCode = signed_differences + engines_died + forged_results + honest_exposed > 0 ? 1 : 0;

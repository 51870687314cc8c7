// What the rewrite of tasks costs, and whether it changes anything: ten workloads and recursion, as they are and rewritten, in Chromium,
// Node and wasmtime; real modules from npm, replayed in all three; the rewrite's speed and size.
// Prints tables, and last one line of JSON. `--quick` does fewer rounds. Figures are ratios of the best times of interleaved rounds.
import { execFileSync, spawnSync } from "node:child_process";
import { createServer } from "node:http";
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { chromium } from "playwright-core";
import { AARCH64_ENV, TRIPLE, aarch64, qemu } from "../../scripts/lib/aarch64.mjs";
import { findChromium } from "../../scripts/lib/chromium.mjs";
import { rewriter } from "../../scripts/lib/steps.mjs";
import { replay } from "./modules/replay.mjs";
import { time } from "./time.mjs";

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = join(HERE, "..", "..");
const TARGET = process.env.CARGO_TARGET_DIR ?? join(ROOT, "target");
const quick = process.argv.includes("--quick");
const ROUNDS = quick ? 3 : 9;

/** Each with as much work as takes some tens of milliseconds. */
const WORK = { sha256: 4096, blake3_hash: 16_384, aes128: 1024, deflate: 8000, json: 9000, regex: 4000, matmul: 320, nbody: 300_000, mandelbrot: 500, sort: 400 };
const RECURSIVE = { fib: 33, tak: 26, queens: 12 };
const ALL = { ...WORK, ...RECURSIVE };

const cargo = (args, env = {}) => execFileSync("cargo", args, { cwd: ROOT, env: { ...process.env, ...env }, stdio: ["ignore", "inherit", "inherit"] });
cargo(["build", "--release", "--quiet", "--package", "peeredge-bench-hvm", "--bins"]);
cargo(["build", "--release", "--quiet", "--target", "wasm32-unknown-unknown", "--package", "peeredge-bench-hvm", "--lib"]);
// The native replay once more for aarch64, under qemu's user mode.
const withoutArm = await aarch64();
if (withoutArm) console.log(withoutArm);
else cargo(["build", "--release", "--quiet", "--target", TRIPLE, "--package", "peeredge-bench-hvm", "--bins"], AARCH64_ENV);
await rewriter();
if (!existsSync(join(HERE, "node_modules"))) execFileSync("npm", ["ci", "--no-audit", "--no-fund"], { cwd: HERE, stdio: "inherit" });

const WORKLOADS = join(TARGET, "wasm32-unknown-unknown/release/peeredge_bench_hvm.wasm");
const workloads = readFileSync(WORKLOADS);
const { exports: made } = new WebAssembly.Instance(new WebAssembly.Module(readFileSync(join(ROOT, ".cache/rewriter/peeredge_rewriter.wasm"))));
function rewritten(bytes) {
  // Making room may move the memory.
  const address = made.room(bytes.length);
  new Uint8Array(made.memory.buffer, address, bytes.length).set(bytes);
  const verdict = made.rewrite_any(16_384);
  const left = Buffer.from(new Uint8Array(made.memory.buffer, made.left(), made.left_length()));
  if (verdict > 1) throw new Error(left.toString());
  return left;
}

// Real modules: what their packages do with them is recorded once.
const traces = join(ROOT, ".cache/hvm-traces");
rmSync(traces, { recursive: true, force: true });
mkdirSync(traces, { recursive: true });
const { PACKAGES } = await import("./modules/packages.mjs");
for (const name of Object.keys(PACKAGES)) {
  const recorded = spawnSync(process.execPath, [join(HERE, "modules/record-one.mjs"), name, traces], { encoding: "utf8", timeout: 120_000 });
  if (recorded.status !== 0) console.log(`not recorded: ${name}`);
}
const modules = readdirSync(traces).filter((file) => file.endsWith(".wasm")).map((file) => {
  const bytes = readFileSync(join(traces, file));
  return { id: file.slice(0, -5), trace: JSON.parse(readFileSync(join(traces, file.replace(/wasm$/, "json")), "utf8")), bytes, rewritten: rewritten(bytes) };
});

// Chromium, on a page that only serves what it is asked to run.
const served = { "/time.mjs": join(HERE, "time.mjs"), "/replay.mjs": join(HERE, "modules/replay.mjs") };
const site = createServer((request, response) => {
  const file = served[request.url];
  response.setHeader("content-type", file ? "text/javascript" : "text/html");
  response.end(file ? readFileSync(file) : "<!doctype html>");
}).listen(0, "127.0.0.1");
await new Promise((resolve) => site.once("listening", resolve));
const browser = await chromium.launch({ executablePath: findChromium(), args: ["--no-sandbox", "--disable-gpu"] });
const page = await browser.newPage();
await page.goto(`http://127.0.0.1:${site.address().port}/`);
const base64 = (bytes) => Buffer.from(bytes).toString("base64");

const both = [workloads, rewritten(workloads)];
const inNode = time(both, ALL, ROUNDS);
const inChromium = await page.evaluate(async ([both, work, rounds]) => {
  const { time } = await import("/time.mjs");
  const bytes = both.map((text) => Uint8Array.from(atob(text), (byte) => byte.charCodeAt(0)));
  return time(bytes, work, rounds);
}, [both.map(base64), ALL, ROUNDS]);
const inWasmtime = timed([join(TARGET, "release/peeredge-bench-hvm")], ROUNDS);
// An emulated processor says nothing about a device's speed, but its instructions take their time alike with and without the gas.
const inQemu = withoutArm ? null : timed(qemu(join(TARGET, TRIPLE, "release/peeredge-bench-hvm")), 1);
const { speed } = inWasmtime;

const version = await page.evaluate(() => navigator.userAgent.match(/Chrom(?:e|ium)\/(\S+)/)?.[1]);
console.log(`time over the module as it is, best of ${ROUNDS}: Chromium ${version}, Node ${process.version}, wasmtime 48${inQemu ? ", wasmtime on aarch64 in qemu (once)" : ""}`);
const heads = ["Chromium", "Node", "wasmtime", "+ epochs", ...(inQemu ? ["aarch64"] : [])];
console.log(`${"".padEnd(12)} ${heads.map((text) => text.padStart(9)).join("")}   gas/us by engine`);
for (const name of Object.keys(ALL)) {
  const all = [inChromium, inNode, inWasmtime, ...(inQemu ? [inQemu] : [])].map((of) => of[name]);
  const wrong = new Set(all.map(({ gas }) => String(gas))).size > 1;
  const rates = all.map(({ gas, rewritten_ms }) => (Number(gas) / rewritten_ms / 1e3).toFixed(0));
  // What the native host adds beside: its checks whether a run is to stop.
  const ratios = all.map(ratio).toSpliced(3, 0, hosted(inWasmtime[name]));
  console.log(`${name.padEnd(12)} ${ratios.map((ratio) => ratio.toFixed(3).padStart(9)).join("")}   ${rates.join(" ")}${wrong ? "  gas differs" : ""}`);
  if (wrong) process.exitCode = 1;
}

// Modules: the original's results, and the same gas and memory everywhere.
const inPage = new Map();
for (const { id, trace, rewritten } of modules) {
  inPage.set(id, await page.evaluate(async ([text, trace]) => {
    const { replay } = await import("/replay.mjs");
    try {
      return replay(Uint8Array.from(atob(text), (byte) => byte.charCodeAt(0)), trace);
    } catch (error) {
      return { error: error.message };
    }
  }, [base64(rewritten), trace]));
}
await browser.close();
site.close();
const replayed = (command, args) => {
  const { stdout } = spawnSync(command, args, { encoding: "utf8", maxBuffer: 1 << 26 });
  return new Map((stdout ?? "").trim().split("\n").filter(Boolean).map((line) => JSON.parse(line)).map((line) => [line.id, line]));
};
const inNative = replayed(join(TARGET, "release/replay"), [traces]);
const [emulator, ...words] = qemu(join(TARGET, TRIPLE, "release/replay"), traces);
const inArm = withoutArm ? new Map() : replayed(emulator, words);

let equal = 0;
let equalArm = 0;
console.log(`\n${"module".padEnd(30)} ${"bytes".padStart(8)} ${"calls".padStart(6)} ${"gas".padStart(12)}`);
for (const { id, trace, bytes, rewritten } of modules) {
  const attempt = (module) => {
    try {
      return replay(module, trace);
    } catch (error) {
      return { error: error.message };
    }
  };
  const original = attempt(bytes);
  if (original.error) continue;
  const here = attempt(rewritten);
  const same = (other) => other && !other.error && other.gas === here.gas && other.memory === here.memory && other.results === here.results;
  const isEqual = !here.error && here.memory === original.memory && here.results === original.results && same(inPage.get(id)) && same(inNative.get(id));
  equal += isEqual ? 1 : 0;
  equalArm += isEqual && same(inArm.get(id)) ? 1 : 0;
  const note = isEqual ? "" : `  ${JSON.stringify([here, inPage.get(id), inNative.get(id)])}`;
  console.log(`${trace.name.padEnd(30)} ${String(bytes.length).padStart(8)} ${String(here.results).padStart(6)} ${String(here.gas).padStart(12)}${note}`);
}
console.log(`${equal} of ${modules.length} modules equal in Chromium, Node and wasmtime${withoutArm ? "" : `, ${equalArm} of them on aarch64, too`}`);

const rewriterSize = gzipSync(readFileSync(join(ROOT, ".cache/rewriter/peeredge_rewriter.wasm")), { level: 9 }).length;
console.log(`rewrite: ${speed.rewrite_mb_per_s} MB/s natively, ${speed.original_bytes} bytes become ${speed.rewritten_bytes}; the rewriter has ${rewriterSize} bytes (gzip)`);
const pair = (of) => of.map((ms) => ms.toFixed(2)).join(" -> ");
console.log(`to compile, as it is -> rewritten: Chromium ${pair(inChromium.compile_ms)} ms, wasmtime ${pair(speed.compile_ms)} ms; to instantiate: Chromium ${pair(inChromium.instantiate_ms)} ms`);

const geomean = (list) => Math.exp(list.reduce((sum, x) => sum + Math.log(x), 0) / list.length);
const of = (times, work) => Object.keys(work).map((name) => ratio(times[name]));
const figures = {
  v8_geomean: geomean(of(inChromium, WORK)),
  v8_max: Math.max(...of(inChromium, WORK)),
  node_geomean: geomean(of(inNode, WORK)),
  wasmtime_geomean: geomean(of(inWasmtime, WORK)),
  wasmtime_max: Math.max(...of(inWasmtime, WORK)),
  wasmtime_host_geomean: geomean(Object.keys(WORK).map((name) => hosted(inWasmtime[name]))),
  recursive_max: Math.max(...of(inChromium, RECURSIVE), ...of(inWasmtime, RECURSIVE)),
  modules_equal: equal,
  ...(!withoutArm && { modules_equal_aarch64: equalArm }),
  rewrite_mb_per_s: speed.rewrite_mb_per_s,
  rewriter_gzip_bytes: rewriterSize,
  compile_ms: inChromium.compile_ms[1],
  instantiate_ms: inChromium.instantiate_ms[1],
};
for (const key of Object.keys(figures)) figures[key] = Math.round(figures[key] * 1e4) / 1e4;
console.log(JSON.stringify({ bench: "hvm", figures }));

/** What the native benchmark prints. */
function timed([command, ...args], rounds) {
  const words = [...args, WORKLOADS, String(rounds), ...Object.entries(ALL).map(([name, n]) => `${name}=${n}`)];
  const { status, signal, stdout, stderr } = spawnSync(command, words, { encoding: "utf8", maxBuffer: 1 << 24 });
  if (status !== 0) throw new Error(`the native benchmark ended with ${status ?? signal}: ${stderr}`);
  const lines = stdout.trim().split("\n").map((line) => JSON.parse(line));
  return { speed: lines.pop(), ...Object.fromEntries(lines.map((line) => [line.name, line])) };
}

/** As a native host runs it, over the module as it is. */
function hosted({ original_ms, host_ms }) {
  return host_ms / original_ms;
}

function ratio({ original_ms, rewritten_ms }) {
  return rewritten_ms / original_ms;
}

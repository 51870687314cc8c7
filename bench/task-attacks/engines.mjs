// Made-up tasks in wasmtime and in three settings of V8, with no more stack than a tab's worker has: whether they come to the same signed
// end, and how long they take to compile.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const HERE = dirname(fileURLToPath(import.meta.url));
const BATCH = 250;
/** A worker of Chromium has 1 MB less what it keeps back; 480 kB is less than any had. */
const STACK = "--stack-size=480";
const V8 = { "V8": [], "V8, liftoff only": ["--liftoff", "--no-wasm-tier-up"], "V8, no liftoff": ["--no-liftoff"] };

/** The lines of JSON that a process prints; one that dies has given what it gave. */
function lines(command, args) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "ignore"] });
    const all = [];
    createInterface({ input: child.stdout }).on("line", (line) => all.push(JSON.parse(line)));
    child.on("close", (code, signal) => resolve({ all, died: code === 0 ? null : (signal ?? code) }));
  });
}

/**
 * Runs `count` tasks of seeds from `seed` on with the program `search`; `dist` is the package's compiled code. Gives figures. Every
 * fourth batch is of shapes that take long to compile, all of them with `shapes`; with `quickly`, wasmtime compiles all as it does what takes too long.
 */
export async function engines(search, dist, count, seed, { shapes = false, quickly = false } = {}) {
  const folder = mkdtempSync(join(tmpdir(), "peeredge-task-attacks-"));
  const kinds = new Map();
  const of = (kind) => kinds.get(kind) ?? kinds.set(kind, { tasks: 0, refused: 0, ends: {}, host: 0, differ: 0, compile: 0, wasmtime: 0 }).get(kind);
  const found = [];
  let [runs, compileWorst, differences, hostEnds] = [0, { ms: 0 }, 0, 0];
  for (let from = seed; from < seed + count; from += BATCH) {
    const size = Math.min(BATCH, seed + count - from);
    const isOfShapes = shapes || Math.floor((from - seed) / BATCH) % 4 === 3;
    const words = [...(isOfShapes ? ["shapes"] : []), ...(quickly ? ["quickly"] : [])];
    const native = await lines(search, [String(size), String(from), folder, ...words]);
    const accepted = native.all.filter(({ refused }) => !refused);
    const others = await Promise.all(Object.entries(V8).map(async ([name, flags]) => [name, await lines(process.execPath, [STACK, ...flags, join(HERE, "in-node.mjs"), join(folder, "modules.bin"), dist])]));
    for (const { kind, refused } of native.all) {
      of(kind).tasks++;
      if (refused) of(kind).refused++;
    }
    accepted.forEach((here, index) => {
      const kind = of(here.kind);
      const all = [["wasmtime", here], ...others.map(([name, { all }]) => [name, all[index]])];
      const ran = all.filter(([, one]) => one);
      runs += ran.length;
      kind.ends[here.end] = (kind.ends[here.end] ?? 0) + 1;
      // What a host says of itself is signed by nobody.
      const signed = new Set(ran.filter(([, { end }]) => end <= 4).map(([, { end, gas, output }]) => `${end} ${gas} ${output}`));
      const trouble = ran.filter(([, { end }]) => end > 4).map(([name]) => name);
      if (signed.size > 1) {
        differences++;
        kind.differ++;
      }
      if (trouble.length > 0) {
        hostEnds++;
        kind.host++;
      }
      if (signed.size > 1 || trouble.length > 0) found.push({ seed: here.seed, kind: here.kind, trouble, ends: ran.map(([name, one]) => `${name}: ${one.end}`) });
      kind.wasmtime = Math.max(kind.wasmtime, here.compile_ms);
      for (const [name, { compile_ms: ms }] of ran) {
        kind.compile = Math.max(kind.compile, ms);
        if (ms > compileWorst.ms) compileWorst = { ms, seed: here.seed, kind: here.kind, name };
      }
    });
    for (const [name, { died }] of [["wasmtime", native], ...others]) if (died !== null) found.push({ from, size, name, died });
  }
  rmSync(folder, { recursive: true, force: true });

  console.log(`${"kind".padEnd(18)} ${"tasks".padStart(6)} ${"refused".padStart(8)} ${"host's".padStart(7)} ${"differ".padStart(7)} ${"compile ms".padStart(11)}  ends in wasmtime`);
  for (const [kind, { tasks, refused, host, differ, compile, ends }] of kinds) {
    console.log(`${kind.padEnd(18)} ${String(tasks).padStart(6)} ${String(refused).padStart(8)} ${String(host).padStart(7)} ${String(differ).padStart(7)} ${compile.toFixed(0).padStart(11)}  ${JSON.stringify(ends)}`);
  }
  for (const one of found.slice(0, 20)) console.log(JSON.stringify(one));
  console.log(`slowest to compile: ${JSON.stringify(compileWorst)}`);
  const died = found.filter(({ died }) => died).length;
  return { tasks: count, runs, signed_differences: differences, host_ends: hostEnds, compile_worst_s: compileWorst.ms / 1e3, engines_died: died };
}

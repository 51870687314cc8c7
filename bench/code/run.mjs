// Builds and runs the benchmark of the erasure code: natively, then as wasm (simd128) under this Node.
// Prints a table, and last one line of JSON. `--quick` measures fewer sizes with fewer rounds; `--trials=3000000` counts
// failures over as many trials (20,000 otherwise), which takes about a quarter of an hour.
import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const target = process.env.CARGO_TARGET_DIR ?? join(root, "target");
const quick = process.argv.includes("--quick");
const seed = 20_260_101;
const trials = process.argv.filter((word) => word.startsWith("--trials="));
const works = ["encode", "20 % lost", "all coded"];

const cargo = (args, env = {}) =>
  execFileSync("cargo", args, { cwd: root, stdio: ["ignore", "inherit", "inherit"], env: { ...process.env, ...env } });

cargo(["build", "--release", "-p", "peeredge-bench-code"]);
cargo(["build", "--profile", "wasm", "--target", "wasm32-unknown-unknown", "-p", "peeredge-bench-code", "--lib"], {
  RUSTFLAGS: "-C target-feature=+simd128",
});

const sizes = quick
  ? ["--k=1024,4096", "--rounds=3", "--ops=256,1024,4096", ...(trials.length ? trials : ["--trials=5000"])]
  : ["--k=64,256,1024,4096,16384,65536", "--rounds=3", ...trials];
const native = spawnSync(join(target, "release", "peeredge-bench-code"), sizes, {
  encoding: "utf8",
  stdio: ["ignore", "pipe", "inherit"],
  maxBuffer: 1 << 24,
});
if (native.status !== 0) throw new Error(`the native benchmark ended with ${native.status ?? native.signal}`);
const lines = native.stdout.trimEnd().split("\n");
const { figures } = JSON.parse(lines.pop());
const nativeSpeeds = JSON.parse(lines.pop().slice("native ".length));
console.log(lines.join("\n"));

const bytes = readFileSync(join(target, "wasm32-unknown-unknown", "wasm", "peeredge_bench_code.wasm"));
const { exports: wasm } = (await WebAssembly.instantiate(bytes, {})).instance;
const names = ["peeredge", "raptorq", "rs-simd"];
// CPU time of this process in ms, as the native side measures it: other programs count less than by the wall clock.
const now = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e3;
};
const median = (list) => list.sort((a, b) => a - b)[list.length >> 1];
const speeds = {};
console.log(`wasm with simd128 in Node ${process.version}, MB/s`);
for (const [k, t] of [[1024, 1024], [1024, 16384], [4096, 16384]]) {
  const cases = names.map((_, number) => wasm.case_new(number, k, t, seed));
  const times = names.map(() => works.map(() => []));
  const repeats = Math.max(1, Math.min(8, (8 << 20) / (k * t)));
  for (let round = 0; round < (quick ? 3 : 5); round++) {
    cases.forEach((address, number) => {
      works.forEach((work, w) => {
        for (let i = 0; i < repeats && wasm.case_can(address, w); i++) {
          wasm.case_prepare(address, w);
          const start = now();
          wasm.case_run(address, w);
          times[number][w].push(now() - start);
          if (!wasm.case_check(address, w)) throw new Error(`${names[number]} gave wrong bytes: ${work}`);
        }
      });
    });
  }
  cases.forEach((address) => wasm.case_drop(address));
  names.forEach((name, number) => {
    const row = times[number].map((list) => (list.length ? (k * t) / 1e3 / median(list) : NaN));
    row.forEach((speed, w) => (speeds[`${name}/${w}/${t}/${k}`] = speed));
    const cells = row.map((speed) => (speed ? speed.toFixed(0) : "–").padStart(9)).join(" ");
    console.log(`${String(t).padStart(6)} ${String(k).padStart(6)} ${name.padEnd(11)} ${cells}`);
  });
}

const mean = (list) => Math.exp(list.reduce((sum, x) => sum + Math.log(x), 0) / list.length);
const over = (w) => mean([1024, 4096].map((k) => speeds[`peeredge/${w}/16384/${k}`] / speeds[`raptorq/${w}/16384/${k}`]));
figures.wasm_enc_over_raptorq = over(0);
figures.wasm_dec20_over_raptorq = over(1);
figures.wasm_all_over_raptorq = over(2);
figures.wasm_over_native = mean(
  [0, 1, 2].flatMap((w) =>
    [1024, 4096].map((k) => speeds[`peeredge/${w}/16384/${k}`] / nativeSpeeds[`${w}/16384/${k}`]),
  ),
);
console.log(JSON.stringify({ bench: "code", figures }));

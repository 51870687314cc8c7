// The steps that lead from a clean clone to everything that runs. Each is skipped while nothing of it changed.
import { gzipSync } from "node:zlib";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { CACHE, ROOT, Stop, output, run, say, step } from "./run.mjs";

const JS_GZIP_BYTES_MAX = 46_000;
const WASM_GZIP_BYTES_MAX = 275_000;
/** What a build of these crates depends on: not their tests. */
const crates = (...folders) => ["Cargo.toml", "Cargo.lock", ...folders.flatMap((folder) => [`${folder}/Cargo.toml`, `${folder}/src`])];
const PURE = ["crates/wire", "crates/code", "crates/dts", "crates/hvm", "crates/routing", "crates/node"];
const REWRITER = ".cache/rewriter/peeredge_rewriter.wasm";
export const TARGET = process.env.CARGO_TARGET_DIR ?? "target";
const DTS = new Set(["index.d.ts", "types.d.ts", "errors.d.ts", "hls/index.d.ts", "sw/register.d.ts", "sw/worker.d.ts"]);
/** Entries that are loaded apart from the main one, with what they share with it. */
const APART = {
  "peeredge/sw": ["sw/worker.js"],
  "peeredge/sw/register": ["sw/register.js", "sw/page.js", "watch.js", "routes.js"],
  "peeredge/hls": ["hls/index.js", "hls/loader.js", "hls/ahead.js", "watch.js", "routes.js"],
  "tasks, when they are used": ["checkpoint", "desk", "job", "rewriter", "rewriter-worker", "run", "runner", "speed", "task-worker"].map((name) => `tasks/${name}.js`),
};

export const RELAY = built("release", "peeredge");
/** The relay with the checks of a debug build, as `cargo test` has built it anyway. */
export const TESTED_RELAY = built("debug", "peeredge");
/** The native end of the interop tests. */
export const RTC_ECHO = built("debug", "examples/rtc_echo");

function built(profile, name) {
  return resolve(ROOT, TARGET, profile, process.platform === "win32" ? `${name}.exe` : name);
}

/** npm's packages, as the lock file has them. */
export async function packages() {
  await step("npm packages", { inputs: ["package-lock.json"], outputs: ["node_modules"] }, () =>
    run(process.platform === "win32" ? "npm.cmd" : "npm", ["ci", "--no-audit", "--no-fund"]),
  );
}

/** Cargo, and its target for the web. */
export async function rust() {
  if (!(await output("cargo", ["--version"]))) {
    throw new Stop("cargo is missing: install Rust from https://rustup.rs, then run this again");
  }
  const sysroot = await output("rustc", ["--print", "sysroot"]);
  if (sysroot && existsSync(join(sysroot, "lib/rustlib/wasm32-unknown-unknown"))) return;
  say("adding Rust's target wasm32-unknown-unknown");
  await run("rustup", ["target", "add", "wasm32-unknown-unknown"]).catch(() => {
    throw new Stop("Rust's target wasm32-unknown-unknown is missing, and rustup could not add it");
  });
}

/** The npm package: dist/, and the tarball that a stranger would install. */
export async function sdk() {
  await step("wasm module", { inputs: crates(...PURE, "sdk-wasm", "xtask"), outputs: [".cache/wasm"] }, wasm);
  await rewriter();
  await step(
    "npm package",
    {
      inputs: ["js/src", "tsconfig.json", "package.json", "README.md", "scripts/lib/steps.mjs", ".cache/wasm/peeredge.js", ".cache/wasm/peeredge_bg.wasm", REWRITER],
      outputs: ["dist/index.js", ".cache/peeredge.tgz"],
    },
    bundle,
  );
}

/** The rewrite of tasks as a module of its own, which a page loads when it first needs it. */
export async function rewriter() {
  await step("rewriter", { inputs: crates("crates/wire", "crates/hvm", "rewriter-wasm"), outputs: [REWRITER] }, async () => {
    const args = ["build", "--quiet", "--profile", "wasm", "--target", "wasm32-unknown-unknown", "--package", "peeredge-rewriter-wasm"];
    await run("cargo", args, { env: { ...process.env, RUSTFLAGS: "-C target-feature=+simd128" } });
    const built = resolve(ROOT, TARGET, "wasm32-unknown-unknown/wasm/peeredge_rewriter_wasm.wasm");
    mkdirSync(dirname(join(ROOT, REWRITER)), { recursive: true });
    await optimize(built, join(ROOT, REWRITER));
  });
}

/** The guest kit's examples, as tasks: .cache/tasks/NAME.wasm. */
export async function tasks() {
  const names = ["fractal", "blur"];
  const outputs = names.map((name) => `.cache/tasks/${name}.wasm`);
  await step("example tasks", { inputs: ["Cargo.toml", "kits/rust"], outputs }, async () => {
    const args = ["build", "--quiet", "--release", "--target", "wasm32-unknown-unknown", "--package", "peeredge-task", "--examples"];
    await run("cargo", args);
    mkdirSync(join(CACHE, "tasks"), { recursive: true });
    const built = resolve(ROOT, TARGET, "wasm32-unknown-unknown/release/examples");
    for (const [index, name] of names.entries()) cpSync(join(built, `${name}.wasm`), join(ROOT, outputs[index]));
  });
}

/** The WebAssembly spec testsuite, its modules as they are and rewritten: .cache/spec/suite.json, for the browser to run. */
export async function spec() {
  const inputs = [...crates("crates/wire", "crates/hvm", "task-runner"), "task-runner/examples", "task-runner/tests/suite"];
  await step("spec testsuite", { inputs, outputs: [".cache/spec/suite.json"] }, async () => {
    mkdirSync(join(CACHE, "spec"), { recursive: true });
    await run("cargo", ["build", "--quiet", "--workspace", "--example", "spec"]);
    await run(built("debug", "examples/spec"), [join(CACHE, "spec/suite.json")]);
  });
}

async function wasm() {
  // Made beside, so that the one before stays whole until then.
  const out = join(CACHE, "wasm-new");
  rmSync(out, { recursive: true, force: true });
  await run("cargo", ["run", "--quiet", "--package", "xtask", "--", "wasm", out]);
  const module = join(out, "peeredge_bg.wasm");
  await optimize(module, module);
  rmSync(join(CACHE, "wasm"), { recursive: true, force: true });
  renameSync(out, join(CACHE, "wasm"));
}

function optimize(module, out) {
  return run(process.execPath, [
    join(ROOT, "node_modules/binaryen/bin/wasm-opt"),
    "-O3",
    // Then for size, twice, as the second time still finds something. The linker puts the stack first, so no value lies below 1024.
    "-Oz",
    "-Oz",
    "--low-memory-unused",
    "--strip-debug",
    "--strip-producers",
    "--strip-target-features",
    "--enable-simd",
    "--enable-bulk-memory",
    "--enable-nontrapping-float-to-int",
    "--enable-sign-ext",
    "--enable-mutable-globals",
    "--enable-reference-types",
    "--enable-multivalue",
    module,
    "-o",
    out,
  ]);
}

/** Puts the modules that a script imports into it, and all into one block, so that it is a classic script as well. */
function inline(path) {
  const seen = new Set();
  const flat = (path) =>
    readFileSync(path, "utf8")
      .replace(/^import .* from "(\..*)";$/gm, (_, name) => {
        const other = join(dirname(path), name);
        if (seen.has(other)) return "";
        seen.add(other);
        return flat(other);
      })
      .replace(/^export (\{\};$)?/gm, "");
  writeFileSync(path, `{\n${flat(path)}}\n`);
  // The entry that needs them alone: what lies elsewhere is others', too.
  for (const other of seen) if (dirname(other) === dirname(path)) rmSync(other);
}

async function bundle() {
  const dist = join(ROOT, "dist");
  rmSync(dist, { recursive: true, force: true });
  const tsc = join(ROOT, "node_modules/typescript/bin/tsc");
  await run(process.execPath, [tsc]);
  // Comments are for the types, and for who reads the source: they were a fifth of what pages load.
  await run(process.execPath, [tsc, "--removeComments", "--declaration", "false"]);
  inline(join(dist, "sw/worker.js"));
  for (const name of readdirSync(dist, { recursive: true })) {
    // Only the public types are part of the package.
    if (name.endsWith(".d.ts") && !DTS.has(name)) rmSync(join(dist, name));
  }
  for (const name of ["peeredge.js", "peeredge_bg.wasm"]) cpSync(join(CACHE, "wasm", name), join(dist, name));
  cpSync(join(ROOT, REWRITER), join(dist, "peeredge_rewriter.wasm"));
  printSizes();
  const printed = await output("npm", ["pack", "--ignore-scripts", "--silent", "--pack-destination", CACHE]);
  if (!printed) throw new Stop("npm pack failed");
  cpSync(join(CACHE, printed.split("\n").at(-1)), join(CACHE, "peeredge.tgz"));
}

/** Gzip bytes of the package's JS (without the entries that are loaded apart) and of its wasm module. */
export function sizes() {
  const dist = join(ROOT, "dist");
  const apart = new Set(Object.values(APART).flat());
  // What has types alone is never loaded.
  const js = readdirSync(dist, { recursive: true })
    .map((name) => name.replaceAll("\\", "/"))
    .filter((name) => name.endsWith(".js") && !apart.has(name) && readFileSync(join(dist, name), "utf8").trim() !== "export {};");
  const gzip = (name) => gzipSync(readFileSync(join(dist, name)), { level: 9 }).length;
  return {
    jsGzipBytes: js.map(gzip).reduce((sum, bytes) => sum + bytes, 0),
    wasmGzipBytes: gzip("peeredge_bg.wasm"),
    rewriterGzipBytes: gzip("peeredge_rewriter.wasm"),
    wasmBytes: statSync(join(dist, "peeredge_bg.wasm")).size,
    apartGzipBytes: Object.fromEntries(
      Object.entries(APART).map(([entry, names]) => [entry, names.map(gzip).reduce((sum, bytes) => sum + bytes, 0)]),
    ),
  };
}

function printSizes() {
  const { jsGzipBytes, wasmGzipBytes, rewriterGzipBytes, wasmBytes, apartGzipBytes } = sizes();
  const kb = (bytes) => `${(bytes / 1000).toFixed(1)} kB`;
  say(`JS ${kb(jsGzipBytes)} gzip of ${kb(JS_GZIP_BYTES_MAX)}, wasm ${kb(wasmGzipBytes)} gzip of ${kb(WASM_GZIP_BYTES_MAX)} (${kb(wasmBytes)})`);
  say(`the rewriter, loaded when tasks are used: ${kb(rewriterGzipBytes)} gzip`);
  for (const [entry, bytes] of Object.entries(apartGzipBytes)) say(`${entry} ${kb(bytes)} gzip`);
  if (jsGzipBytes > JS_GZIP_BYTES_MAX) throw new Stop("the package's JS is too large");
  if (wasmGzipBytes > WASM_GZIP_BYTES_MAX) throw new Stop("the wasm module is too large");
}

/** The relay's binary. */
export async function relay() {
  await step("relay", { inputs: crates(...PURE, "crates/tracker", "task-runner", "relay-node"), outputs: [join(TARGET, "release/peeredge")] }, () =>
    run("cargo", ["build", "--release", "--package", "peeredge-relay", "--bin", "peeredge"]),
  );
}

/** The same for the tests. An example of the whole workspace has the features that `cargo test --workspace` chose: nothing is built twice. */
export async function testedRelay() {
  await run("cargo", ["build", "--quiet", "--workspace", "--bin", "peeredge", "--example", "rtc_echo"]);
}

/** The demo, built from the packed package as a stranger would. */
export async function demo() {
  const folder = "demo-web";
  // The job that the page offers is the guest kit's example.
  await tasks();
  mkdirSync(join(ROOT, folder, "public"), { recursive: true });
  cpSync(join(CACHE, "tasks/fractal.wasm"), join(ROOT, folder, "public/fractal.wasm"));
  await step("demo", { inputs: [folder, ".cache/peeredge.tgz", "package-lock.json"], outputs: [`${folder}/dist/index.html`] }, async () => {
    await unpackAsInstalled(join(ROOT, folder));
    // Vite only takes the types away: that they hold is seen here.
    await run(process.execPath, [join(ROOT, "node_modules/typescript/bin/tsc"), "-p", folder]);
    await run(process.execPath, [join(ROOT, "node_modules/vite/bin/vite.js"), "build", folder, "--logLevel", "warn"]);
  });
}

/** Lays the packed package into a folder's node_modules, as `npm install peeredge` would. */
export function unpackAsInstalled(folder) {
  const target = join(folder, "node_modules/peeredge");
  rmSync(target, { recursive: true, force: true });
  mkdirSync(target, { recursive: true });
  return run("tar", ["-xzf", join(CACHE, "peeredge.tgz"), "--strip-components=1", "-C", target]);
}

// What only wasm can get wrong: the machines must behave there as they do natively, and ask nothing of the host.
// Prints `ok NAME` or `not ok NAME` for each check; see the part `wasm` of npm test.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { CACHE, ROOT, output, run } from "./lib/run.mjs";

async function check(name, job) {
  try {
    await job();
    console.log(`ok ${name}`);
  } catch (error) {
    console.error(error.message);
    console.log(`not ok ${name}`);
    process.exitCode = 1;
  }
}

await check("a seed's trace is the same natively and in wasm", () =>
  run(process.execPath, [join(ROOT, "tests/sim-wasm/check.mjs")]),
);

await check("the package's module imports nothing but its glue", () => {
  const module = new WebAssembly.Module(readFileSync(join(CACHE, "wasm/peeredge_bg.wasm")));
  const foreign = WebAssembly.Module.imports(module).filter(({ module }) => module !== "./peeredge_bg.js");
  if (foreign.length) throw new Error(`it imports ${foreign.map(({ module, name }) => `${module}.${name}`).join(", ")}`);
});

await check("the crates' folder compiles for wasm32-unknown-unknown", async () => {
  const metadata = JSON.parse(await output("cargo", ["metadata", "--no-deps", "--format-version=1"]));
  const pure = metadata.packages.filter(({ manifest_path }) => manifest_path.startsWith(join(ROOT, "crates") + "/"));
  const packages = pure.flatMap(({ name }) => ["--package", name]);
  await run("cargo", ["build", "--quiet", "--release", "--target", "wasm32-unknown-unknown", "--lib", ...packages]);
});

// Builds and runs the benchmark of PeerRouting. Words name parts (all by default); `--quick`, `--long`, `--seed=N`. The part `oracle`
// compares the market with HiGHS. Prints tables, and last one line of JSON. Traces: PEEREDGE_DATA=DIR, or ../shared/data beside the project.
import { execFileSync, spawnSync } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { oracle } from "./oracle.mjs";
import { updates } from "./wasm.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const target = process.env.CARGO_TARGET_DIR ?? join(root, "target");
execFileSync("cargo", ["build", "--release", "--quiet", "-p", "peeredge-bench-routing"], { cwd: root, stdio: "inherit" });
const binary = join(target, "release", "peeredge-bench-routing");

const words = process.argv.slice(2);
const flags = words.filter((word) => word.startsWith("--"));
const parts = words.filter((word) => !word.startsWith("--"));
const others = parts.filter((part) => part !== "oracle");
const has = (part) => parts.length === 0 || parts.includes(part);
const figures = { ...(has("oracle") && (await oracle(binary, flags))), ...(has("perception") && (await updates(root, target))) };
if (parts.length > 0 && others.length === 0) {
  console.log(JSON.stringify({ bench: "routing", figures }));
} else {
  const given = Object.entries(figures).map(([key, value]) => `--figure=${key}:${value}`);
  const { status, signal } = spawnSync(binary, [...flags, ...others, ...given], { stdio: "inherit" });
  if (status !== 0) throw new Error(`the benchmark ended with ${status ?? signal}`);
}

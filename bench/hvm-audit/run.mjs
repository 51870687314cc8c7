// Builds and runs the simulation of PeerHVM's audit. `--quick`, `--long` (harder populations, too), `--seed=N`.
// Prints tables, and last one line of JSON. Traces: PEEREDGE_DATA=DIR, or ../shared/data beside the project.
import { execFileSync, spawnSync } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const target = process.env.CARGO_TARGET_DIR ?? join(root, "target");
execFileSync("cargo", ["build", "--release", "--quiet", "-p", "peeredge-bench-hvm-audit"], { cwd: root, stdio: "inherit" });
const { status, signal } = spawnSync(join(target, "release", "peeredge-bench-hvm-audit"), process.argv.slice(2), { stdio: "inherit" });
if (status !== 0) throw new Error(`the benchmark ended with ${status ?? signal}`);

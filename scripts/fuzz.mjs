// Runs the fuzz targets one behind the other: `node scripts/fuzz.mjs SECONDS [TARGET …]`. What a target finds lies in its folder's
// `artifacts`, and the inputs that reach something new in `corpus`; both are kept from run to run.
import { spawnSync } from "node:child_process";

const FOLDERS = {
  "tests/fuzz": ["frames", "contents", "node", "tracker"],
  "crates/hvm/fuzz": ["rewrite"],
  "crates/code/fuzz": ["operations", "sizes"],
};
const [seconds = "60", ...wanted] = process.argv.slice(2);
const known = Object.values(FOLDERS).flat();
const unknown = wanted.filter((target) => !known.includes(target));
if (!/^\d+$/.test(seconds) || unknown.length > 0) {
  console.error(`node scripts/fuzz.mjs SECONDS [TARGET …]; targets are ${known.join(", ")}`);
  process.exit(2);
}

const failed = [];
for (const [folder, targets] of Object.entries(FOLDERS)) {
  for (const target of targets.filter((target) => wanted.length === 0 || wanted.includes(target))) {
    console.log(`\n${target}, ${seconds} s`);
    const options = ["-max_total_time=" + seconds, "-max_len=8192", "-timeout=20", "-print_final_stats=1"];
    const args = ["+nightly", "fuzz", "run", "--fuzz-dir", folder, target, "--", ...options];
    const { status, error } = spawnSync("cargo", args, { stdio: "inherit", cwd: new URL("..", import.meta.url) });
    if (error) throw error;
    if (status !== 0) failed.push(target);
  }
}
if (failed.length > 0) {
  console.error(`\nfailed: ${failed.join(", ")}`);
  process.exit(1);
}

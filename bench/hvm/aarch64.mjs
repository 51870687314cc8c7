// The native replay for aarch64, under qemu's user mode: built and run where the tools are.
import { execFileSync, spawnSync } from "node:child_process";
import { join } from "node:path";

const TRIPLE = "aarch64-unknown-linux-gnu";

/** How to run `replay` on aarch64, or null, after a sentence that says what is missing. */
export async function aarch64(root, target) {
  const has = (command, args = ["--version"]) => spawnSync(command, args, { stdio: "ignore" }).status === 0;
  const missing = [
    has("aarch64-linux-gnu-gcc") ? null : "aarch64-linux-gnu-gcc (Debian: gcc-aarch64-linux-gnu)",
    has("qemu-aarch64-static") ? null : "qemu-aarch64-static (Debian: qemu-user-static)",
    has("rustc", ["--print", "target-libdir", "--target", TRIPLE]) && hasTarget() ? null : `Rust's target ${TRIPLE}`,
  ].filter(Boolean);
  if (missing.length) {
    console.log(`aarch64 is left out: ${missing.join(", ")} is missing`);
    return null;
  }
  const env = {
    ...process.env,
    CC_aarch64_unknown_linux_gnu: "aarch64-linux-gnu-gcc",
    CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER: "aarch64-linux-gnu-gcc",
  };
  const args = ["build", "--release", "--quiet", "--target", TRIPLE, "--package", "peeredge-bench-hvm", "--bin", "replay"];
  execFileSync("cargo", args, { cwd: root, env, stdio: ["ignore", "inherit", "inherit"] });
  return { command: "qemu-aarch64-static", args: ["-L", "/usr/aarch64-linux-gnu", join(target, TRIPLE, "release/replay")] };
}

function hasTarget() {
  const folder = spawnSync("rustc", ["--print", "target-libdir", "--target", TRIPLE], { encoding: "utf8" }).stdout.trim();
  return spawnSync("test", ["-d", folder]).status === 0;
}

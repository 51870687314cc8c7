// Building for aarch64 and running it here, under qemu's user mode.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { output, run, say } from "./run.mjs";

export const TRIPLE = "aarch64-unknown-linux-gnu";
const LIBRARIES = "/usr/aarch64-linux-gnu";
const QEMU = "qemu-aarch64-static";

/** What cargo needs to know: the linker, and what runs what it made. */
export const AARCH64_ENV = {
  CC_aarch64_unknown_linux_gnu: "aarch64-linux-gnu-gcc",
  CXX_aarch64_unknown_linux_gnu: "aarch64-linux-gnu-g++",
  CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER: "aarch64-linux-gnu-gcc",
  CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER: `${QEMU} -L ${LIBRARIES}`,
};

/** The words that run a program for aarch64. */
export const qemu = (...words) => [QEMU, "-L", LIBRARIES, ...words];

/** Sets up the tools, as root by Debian's packages. Gives null, or a sentence that says what is missing. */
export async function aarch64() {
  if ((await missing()).length > 0) {
    if (process.getuid?.() === 0 && (await output("apt-get", ["--version"]))) {
      say("installing Debian's cross compiler and qemu for aarch64");
      const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
      const packages = ["gcc-aarch64-linux-gnu", "g++-aarch64-linux-gnu", "libc6-dev-arm64-cross", "qemu-user-static"];
      await run("apt-get", ["update", "-qq"], { env }).catch(() => undefined);
      await run("apt-get", ["install", "-y", "-qq", "--no-install-recommends", ...packages], { env }).catch(() => undefined);
    }
    if (!(await hasTarget())) await run("rustup", ["target", "add", TRIPLE]).catch(() => undefined);
  }
  const left = await missing();
  return left.length === 0 ? null : `aarch64 is left out, because of what is missing: ${left.join(", ")}`;
}

async function missing() {
  const tools = {
    "aarch64-linux-gnu-gcc (Debian: gcc-aarch64-linux-gnu)": await output("aarch64-linux-gnu-gcc", ["--version"]),
    [`${QEMU} (Debian: qemu-user-static)`]: await output(QEMU, ["--version"]),
    [`Rust's target ${TRIPLE}`]: await hasTarget(),
  };
  return Object.keys(tools).filter((name) => !tools[name]);
}

async function hasTarget() {
  const sysroot = await output("rustc", ["--print", "sysroot"]);
  return Boolean(sysroot) && existsSync(join(sysroot, "lib/rustlib", TRIPLE));
}

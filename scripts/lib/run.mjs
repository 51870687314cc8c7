// What every verb needs: commands that show what they do, and steps that are skipped while their inputs stay the same.
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), "../..");
export const CACHE = join(ROOT, ".cache");
const STAMPS = join(CACHE, "stamps");

/** A failure that the user can act on: shown without a stack. */
export class Stop extends Error {}

/** Runs a command with its output shown. Rejects with a sentence when it fails. */
export function run(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: ROOT, stdio: ["ignore", "inherit", "inherit"], ...options });
    child.on("error", (error) => reject(new Stop(`${command} cannot be run: ${error.message}`)));
    child.on("exit", (code, signal) => {
      if (code === 0) resolve();
      else reject(new Stop(`${[command, ...args].join(" ")} failed (${signal ?? `exit code ${code}`})`));
    });
  });
}

/** Runs a command and gives what it printed, or null when it fails. */
export function output(command, args, options = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: ROOT, stdio: ["ignore", "pipe", "ignore"], ...options });
    let text = "";
    child.stdout.on("data", (bytes) => (text += bytes));
    child.on("error", () => resolve(null));
    child.on("close", (code) => resolve(code === 0 ? text.trim() : null));
  });
}

/** Does a step unless its inputs (files and folders below the root, and `also`) and its outputs are as it left them. */
export async function step(name, { inputs, outputs = [], also = "" }, work) {
  const stamp = join(STAMPS, name);
  const isDone = () => {
    const made = outputs.every((path) => existsSync(resolve(ROOT, path)));
    return made && existsSync(stamp) && readFileSync(stamp, "utf8") === fingerprint(inputs, also);
  };
  if (isDone()) return false;
  const release = await lock(name);
  try {
    // Another command may have done it meanwhile.
    if (isDone()) return false;
    const key = fingerprint(inputs, also);
    const began = performance.now();
    say(`${name} …`);
    await work();
    writeFileSync(stamp, key);
    say(`${name}: done in ${((performance.now() - began) / 1000).toFixed(1)} s`);
    return true;
  } finally {
    release();
  }
}

/** Waits until no other command is at this step. Gives what ends the lock. */
async function lock(name) {
  const path = join(STAMPS, `${name}.lock`);
  mkdirSync(STAMPS, { recursive: true });
  for (let waited = false; ; waited = true) {
    try {
      writeFileSync(path, String(process.pid), { flag: "wx" });
      return () => rmSync(path, { force: true });
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
    }
    if (!runs(path)) rmSync(path, { force: true });
    else if (!waited) say(`${name}: another command is at it …`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

/** Whether the process that holds a lock is still there. */
function runs(path) {
  try {
    process.kill(Number(readFileSync(path, "utf8")), 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}

export function say(text) {
  console.log(`\x1b[2m[peeredge]\x1b[0m ${text}`);
}

/** Runs a verb: what stops it is shown, and is the exit code. */
export async function verb(main) {
  try {
    if (Number(process.versions.node.split(".")[0]) < 20) throw new Stop(`Node 20 or later is needed, this is ${process.version}`);
    await main(process.argv.slice(2));
  } catch (error) {
    console.error(error instanceof Stop ? `\npeeredge: ${error.message}` : error);
    process.exitCode = 1;
  }
}

function fingerprint(inputs, also) {
  const hash = createHash("sha256").update(also);
  for (const input of inputs) {
    for (const file of files(join(ROOT, input))) {
      hash.update(relative(ROOT, file)).update("\0").update(readFileSync(file)).update("\0");
    }
  }
  return hash.digest("hex");
}

const NEVER = new Set(["node_modules", "target", "dist", ".cache", ".git"]);

function files(path) {
  if (!existsSync(path)) return [];
  if (!statSync(path).isDirectory()) return [path];
  const names = readdirSync(path).filter((name) => !NEVER.has(name));
  return names.sort().flatMap((name) => files(join(path, name)));
}

// Finds a Chromium, or installs Debian's.
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { Stop, output, run, say } from "./run.mjs";

const NAMES = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];
const PLACES = [
  "/usr/bin",
  "/usr/local/bin",
  "/snap/bin",
  "/Applications/Google Chrome.app/Contents/MacOS",
  "/Applications/Chromium.app/Contents/MacOS",
];

/** The path of a Chromium or Chrome: `CHROMIUM_PATH`, or the first one on the PATH or in the usual places; else null. */
export function findChromium() {
  const named = process.env.CHROMIUM_PATH;
  if (named) {
    if (!executable(named)) throw new Stop(`CHROMIUM_PATH names ${named}, which cannot be executed`);
    return named;
  }
  const folders = [...(process.env.PATH ?? "").split(delimiter), ...PLACES].filter(Boolean);
  const names = [...NAMES, "Google Chrome", "Chromium"];
  return folders.flatMap((folder) => names.map((name) => join(folder, name))).find(executable) ?? null;
}

/** As {@link findChromium}, but installs Debian's package as root where there is none. */
export async function chromium() {
  const found = findChromium();
  if (found) return found;
  const missing = "no Chromium was found: install one (Debian: apt-get install chromium), or set CHROMIUM_PATH";
  if (process.getuid?.() !== 0 || !(await output("apt-get", ["--version"]))) throw new Stop(missing);
  say("installing Debian's chromium");
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  await run("apt-get", ["update", "-qq"], { env });
  await run("apt-get", ["install", "-y", "-qq", "--no-install-recommends", "chromium"], { env });
  const installed = findChromium();
  if (!installed) throw new Stop(missing);
  return installed;
}

function executable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

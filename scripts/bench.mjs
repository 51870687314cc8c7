// npm run bench -- NAME [WORDS...] [--write]: runs bench/NAME/run.mjs on a fresh build; NAME `all` runs each. With `--write` what it measured
// is kept in bench/results, and docs/results.md written anew.
import { spawn } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { ROOT, Stop, verb } from "./lib/run.mjs";
import { keep } from "./lib/results.mjs";
import { packages, relay, rust, sdk } from "./lib/steps.mjs";
import { chromium } from "./lib/chromium.mjs";

/** Those that measure crates alone: neither the package nor the relay nor a browser is built for them. */
const BARE = new Set(["code", "routing", "hvm-audit"]);

/** Those that need a browser, but neither the package nor the relay. */
const ENGINES = new Set(["hvm"]);

verb(async ([name, ...all]) => {
  const script = (name) => join(ROOT, "bench", name, "run.mjs");
  const names = readdirSync(join(ROOT, "bench")).filter((name) => existsSync(script(name)));
  const words = all.filter((word) => word !== "--write");
  if (name !== "all" && !names.includes(name)) throw new Stop(`npm run bench -- NAME, where NAME is all or one of: ${names.join(", ")}`);
  if (all.includes("--write") && words.includes("--quick")) throw new Stop("--quick measures too little to be written");
  const wanted = name === "all" ? names : [name];
  await packages();
  await rust();
  if (wanted.some((name) => !BARE.has(name) && !ENGINES.has(name))) {
    await sdk();
    await relay();
  }
  if (wanted.some((name) => !BARE.has(name))) await chromium();
  const failed = [];
  for (const name of wanted) {
    try {
      const line = await lastLine(script(name), words);
      if (all.includes("--write")) await keep(name, words, line);
    } catch (error) {
      if (wanted.length === 1) throw error;
      // The others' figures are not lost by one that fails.
      failed.push(name);
      console.error(error.message);
    }
  }
  if (failed.length > 0) throw new Stop(`failed: ${failed.join(", ")}`);
});

/** Runs a script with what it prints shown, and gives the last line of that. */
function lastLine(script, words) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [script, ...words], { cwd: ROOT, stdio: ["ignore", "pipe", "inherit"] });
    let end = "";
    child.stdout.on("data", (bytes) => {
      process.stdout.write(bytes);
      end = (end + bytes).slice(-65_536);
    });
    child.on("error", (error) => reject(new Stop(`${script} cannot be run: ${error.message}`)));
    child.on("close", (code, signal) => {
      if (code === 0) resolve(end.trimEnd().split("\n").pop());
      else reject(new Stop(`${script} failed (${signal ?? `exit code ${code}`})`));
    });
  });
}

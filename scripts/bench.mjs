// npm run bench -- NAME [WORDS...]: runs bench/NAME/run.mjs on a fresh build.
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { ROOT, Stop, run, verb } from "./lib/run.mjs";
import { packages, relay, rust, sdk } from "./lib/steps.mjs";
import { chromium } from "./lib/chromium.mjs";

/** Those that measure crates alone: neither the package nor the relay nor a browser is built for them. */
const BARE = new Set(["code", "routing", "hvm-audit"]);

/** Those that need a browser, but neither the package nor the relay. */
const ENGINES = new Set(["hvm"]);

verb(async ([name, ...words]) => {
  const script = (name) => join(ROOT, "bench", name, "run.mjs");
  const names = readdirSync(join(ROOT, "bench")).filter((name) => existsSync(script(name)));
  if (!name || !names.includes(name)) throw new Stop(`npm run bench -- NAME, where NAME is one of: ${names.join(", ")}`);
  await packages();
  await rust();
  if (!BARE.has(name)) {
    if (!ENGINES.has(name)) {
      await sdk();
      await relay();
    }
    await chromium();
  }
  await run(process.execPath, [script(name), ...words], { stdio: "inherit" });
});

// npm start [FILE...] [--SETTING VALUE...]: builds what changed, then runs one relay with the demo and something to share.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { ROOT, Stop, say, verb } from "./lib/run.mjs";
import { sample } from "./lib/sample.mjs";
import { RELAY, demo, packages, relay, rust, sdk } from "./lib/steps.mjs";

const READY_WITHIN_MS = 120_000;

verb(async (words) => {
  const { files, flags, url } = read(words);
  await packages();
  await rust();
  await sdk();
  await demo();
  await relay();
  await serve(files.length ? files : [await sample()], flags, url);
});

/** Words that are files, flags for the relay, and the address that they lead to. */
function read(words) {
  const files = [];
  const flags = [];
  for (let at = 0; at < words.length; at++) {
    const word = words[at];
    if (word.startsWith("--")) {
      flags.push(word);
      if (!word.includes("=") && at + 1 < words.length) flags.push(words[++at]);
    } else if (existsSync(word)) {
      files.push(resolve(word));
    } else {
      throw new Stop(`there is no file ${word}`);
    }
  }
  const flag = (name) => {
    const at = flags.findIndex((word) => word === `--${name}` || word.startsWith(`--${name}=`));
    return at < 0 ? null : (flags[at].split("=")[1] ?? flags[at + 1]);
  };
  const url = flag("public-url") || `http://${flag("bind") ?? "127.0.0.1:8080"}`;
  return { files, flags, url };
}

async function serve(files, flags, url) {
  const publish = files.map((file) => `--publish=${file}`);
  const folders = [`--data-dir=${join(ROOT, ".peeredge")}`, `--demo-dir=${join(ROOT, "demo-web/dist")}`];
  // What the command line says comes last, and wins.
  const child = spawn(RELAY, ["serve", ...folders, ...publish, ...flags], { cwd: ROOT, stdio: ["ignore", "inherit", "inherit"] });
  const ended = new Promise((resolve, reject) => {
    child.on("error", (error) => reject(new Stop(`the relay cannot be run: ${error.message}`)));
    child.on("exit", (code, signal) => resolve(signal ? 0 : code));
  });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  // npm runs this behind a shell that passes no signal on: without the shell, the relay goes as well.
  const parent = process.ppid;
  setInterval(() => process.ppid !== parent && child.kill("SIGTERM"), 500).unref();
  if (await ready(url, ended)) await explain(url, files);
  const code = await ended;
  if (code !== 0) throw new Stop("the relay has stopped: its last lines say why (if the port is taken: npm start -- --bind 127.0.0.1:9090)");
}

/** Whether the relay answers; false when it ended before. */
async function ready(url, ended) {
  let running = true;
  void ended.finally(() => (running = false)).catch(() => undefined);
  const until = performance.now() + READY_WITHIN_MS;
  while (running && performance.now() < until) {
    // Somebody else's server on this port would answer, too: a relay that cannot bind ends at once.
    await new Promise((resolve) => setTimeout(resolve, 100));
    const answer = await fetch(`${url}/readyz`).catch(() => null);
    if (running && answer?.ok) return true;
  }
  return false;
}

async function explain(url, files) {
  const shared = await published(url, files);
  say("");
  say(`The relay runs, and shows the demo at  ${url}/`);
  for (const { link, length } of shared) say(`It shares ${link} (${(length / 1e6).toFixed(1)} MB)`);
  say("");
  say("What to do next:");
  say("  1. Open the address in a browser, agree, and take the sample, or drop a file of your own.");
  say("  2. Open it in a second tab or another browser: the bytes come from the first tab.");
  say("  3. Press Ctrl+C here while a download runs: the tabs finish from each other.");
  say("");
}

/** What the relay has of these files after a moment; it prints the links of large ones by itself, later. */
async function published(url, files) {
  const names = new Set(files.map((file) => basename(file)));
  for (let tries = 0; tries < 20; tries++) {
    const contents = await fetch(`${url}/api/contents`).then((answer) => answer.json()).catch(() => []);
    const found = contents.filter(({ name }) => names.has(name));
    if (found.length >= names.size) return found;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return [];
}

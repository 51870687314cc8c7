// npm run bench -- get: how fast `peeredge get` fetches a file from a relay on this machine, beside curl, and in how much memory.
//
// Both throw the bytes away, so that neither waits for a disk; `get` verifies all of them first. They take turns within each round,
// and a figure is the median over the rounds. BENCH_ROUNDS (5) and BENCH_MIB (1024) make it shorter.
import { spawn } from "node:child_process";
import { closeSync, openSync, writeSync } from "node:fs";
import { Stop } from "../../scripts/lib/run.mjs";
import { PEEREDGE, Relay } from "../../tests/browser/relay.mjs";
import { randomBytes } from "../../tests/browser/random.mjs";
import { folder, memory } from "../../tests/attacks/program.mjs";

const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 5);
const MIB = Number(process.env.BENCH_MIB ?? 1024);
const LENGTH = MIB << 20;

const base = folder("bench-get");
const film = openSync(base.at("film.bin"), "w");
for (let at = 0; at < MIB; at++) writeSync(film, randomBytes(at + 1, 1 << 20));
closeSync(film);
const relay = await Relay.start({ publish: [base.at("film.bin")], settings: { stun: false } });
try {
  let link = null;
  while (!(link = (await (await fetch(`${relay.url}/api/contents`)).json())[0]?.link)) await new Promise((resolve) => setTimeout(resolve, 100));
  // What is measured is neither the disk nor the relay's first look at its copy.
  await timed("curl", ["-sf", "-o", "/dev/null", link]);
  const rounds = [];
  for (let round = 1; round <= ROUNDS; round++) {
    const curl = await timed("curl", ["-sf", "-o", "/dev/null", link]);
    const get = await timed(PEEREDGE, ["get", link, "-q", "-o", "/dev/null"]);
    rounds.push({ curl: LENGTH / curl.seconds, get: LENGTH / get.seconds, ratio: curl.seconds / get.seconds, rss: get.rss });
    console.log(`round ${round}: curl ${mb(LENGTH / curl.seconds)} MB/s, get ${mb(LENGTH / get.seconds)} MB/s in ${mb(get.rss)} MB`);
  }
  const middle = (name) => median(rounds.map((round) => round[name]));
  console.log(`\n| program | MB/s | MB of memory |\n|---|---|---|`);
  console.log(`| curl | ${mb(middle("curl"))} | |\n| peeredge get | ${mb(middle("get"))} | ${mb(middle("rss"))} |\n`);
  const figures = { get_over_curl_rate: Number(middle("ratio").toFixed(3)), get_rss_bytes: Math.max(...rounds.map((round) => round.rss)), get_bytes_per_s: Math.round(middle("get")), curl_bytes_per_s: Math.round(middle("curl")), bytes: LENGTH, rounds: ROUNDS };
  console.log(JSON.stringify({ bench: "get", figures }));
} finally {
  await relay.stop();
  base.remove();
}

/** Runs a program to its end: seconds, and the most memory that it had. */
function timed(program, words) {
  const began = performance.now();
  const child = spawn(program, words, { stdio: ["ignore", "ignore", "inherit"] });
  let rss = 0;
  const look = setInterval(() => {
    // The highest so far: only what it takes in its last moments is missed.
    try {
      rss = Math.max(rss, memory(child.pid));
    } catch {
      // It has just ended.
    }
  }, 10);
  return new Promise((resolve, reject) => {
    child.on("error", (error) => reject(new Stop(`${program}: ${error.message}`)));
    child.on("exit", (code, signal) => {
      if (code !== 0) return reject(new Stop(`${program} ${words.join(" ")} ended with ${code ?? signal}`));
      resolve({ seconds: (performance.now() - began) / 1000, rss });
    });
  }).finally(() => clearInterval(look));
}

function median(numbers) {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];
}

function mb(bytes) {
  return Math.round(bytes / 1e6);
}

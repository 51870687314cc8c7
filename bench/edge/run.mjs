// npm run bench -- edge [--quick] [PART…]: hostile links, slow and leaving senders, swarms, and plain HTTP, each beside the
// strongest competitor in the same run. How it is done, and what came of it, is in docs/edge.md.
//
// Parts: loss1 loss3 native clean cellular slow swarm http; and `kinds`, `small`, `simulated` and `players`, which only run when they are
// named. Every
// figure is a median of five rounds, of one with --quick. BENCH_ROUNDS changes that.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CACHE, Stop, say } from "../../scripts/lib/run.mjs";
import { buildLab } from "../../tests/lab/lab.mjs";
import { draw } from "./draw.mjs";
import { kinds, loss, native } from "./loss.mjs";
import { clean } from "./clean.mjs";
import { cellular } from "./cellular.mjs";
import { http } from "./http.mjs";
import { players } from "./players.mjs";
import { simulated } from "./simulated.mjs";
import { slow } from "./slow.mjs";
import { small } from "./small.mjs";
import { swarm } from "./swarm.mjs";

const PARTS = {
  loss1: (context) => loss(0.01, "loss1", context),
  loss3: (context) => loss(0.03, "loss3", context),
  native,
  clean,
  cellular,
  slow,
  swarm,
  http,
  kinds,
  small,
  simulated,
  players,
};
const UNLESS_NAMED = new Set(["kinds", "small", "simulated", "players"]);

const words = process.argv.slice(2);
const quick = words.includes("--quick");
const named = words.filter((word) => word !== "--quick");
const unknown = named.find((word) => !(word in PARTS));
if (unknown) throw new Stop(`${unknown} is no part of this benchmark; these are: ${Object.keys(PARTS).join(", ")}`);
const parts = named.length ? named : Object.keys(PARTS).filter((part) => !UNLESS_NAMED.has(part));

const rounds = Number(process.env.BENCH_ROUNDS ?? (quick ? 1 : 5));
const figures = {};
const rows = [];
const row = (what, value, unit = "", note = "") => {
  rows.push({ what, value, unit, note });
  console.log(`  ${what.padEnd(58)}${value.toFixed(2).padStart(9)} ${unit.padEnd(8)}${note}`);
};

await buildLab();
const failed = [];
for (const part of parts) {
  try {
    await PARTS[part]({ rounds, quick, figures, row, say });
  } catch (error) {
    // One part that fails must not cost the others' figures.
    failed.push(part);
    console.error(`${part} failed: ${error.stack}`);
  }
}

for (const key of Object.keys(figures)) figures[key] = Number(figures[key].toFixed(3));
console.log("");
for (const [key, value] of Object.entries(figures)) console.log(`  ${key.padEnd(58)}${String(value).padStart(9)}`);
mkdirSync(CACHE, { recursive: true });
const picture = join(CACHE, "bench-edge.svg");
writeFileSync(picture, draw(figures));
say(`drawn: ${picture}`);
console.log(`\n${JSON.stringify({ bench: "edge", figures })}`);
if (failed.length) process.exitCode = 1;

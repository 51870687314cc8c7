// What benchmarks measured: a record of each in bench/results, and the page docs/results.md, which is made of the records and of nothing else.
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { join } from "node:path";
import { ROOT, Stop, output } from "./run.mjs";

const RECORDS = join(ROOT, "bench/results");
const PAGE = join(ROOT, "docs/results.md");
/** What each figure is, and what it is to be: `{ BENCH: { FIGURE: { what, most | least | exactly } } }`. */
const GOALS = join(ROOT, "bench/goals.json");

/** Keeps the last line that a benchmark printed, and writes the page anew. Throws `Stop` where the line has no figures. */
export async function keep(name, words, line) {
  let figures;
  try {
    ({ figures } = JSON.parse(line));
  } catch {
    // Said below.
  }
  if (!figures) throw new Stop(`${name} did not end in a line of JSON with figures; nothing is written`);
  const changed = await output("git", ["status", "--porcelain"]);
  const record = {
    bench: name,
    words,
    date: new Date().toISOString().slice(0, 10),
    commit: (await output("git", ["rev-parse", "--short", "HEAD"])) + (changed ? " and changes" : ""),
    machine: `${cpus().length} cores (${cpus()[0].model.trim()}), ${Math.round(totalmem() / 2 ** 30)} GiB`,
    figures,
  };
  mkdirSync(RECORDS, { recursive: true });
  writeFileSync(join(RECORDS, `${[name, ...words].join("-").replace(/[^\w.=-]/g, "")}.json`), `${JSON.stringify(record, null, 2)}\n`);
  writeFileSync(PAGE, page(records(), goals()));
}

export const records = () => readdirSync(RECORDS).filter((file) => file.endsWith(".json")).sort().map((file) => JSON.parse(readFileSync(join(RECORDS, file), "utf8")));

export const goals = () => JSON.parse(readFileSync(GOALS, "utf8"));

/** The page, in Markdown. A figure without a goal stands without one; null is a figure that was not measured in that run. */
export function page(records, goals) {
  const parts = records.map(({ bench, words, date, commit, machine, figures }) => {
    const rows = Object.entries(figures).map(([figure, value]) => {
      const { what = "", ...goal } = goals[bench]?.[figure] ?? {};
      return `| \`${figure}\` | ${what} | ${value ?? "not measured"} | ${verdict(value, goal)} |`;
    });
    return `## ${[bench, ...words].join(" ")}\n\n${date}, commit ${commit}, ${machine}\n\n| figure | what | measured | goal |\n|---|---|---|---|\n${rows.join("\n")}\n`;
  });
  return `# Results\n\nWritten by \`npm run bench -- NAME --write\`. What each benchmark compares with, and its inputs and seeds, stands at the top of its script.\n\n${parts.join("\n")}`;
}

function verdict(value, { most, least, exactly }) {
  const said = most !== undefined ? `at most ${most}` : least !== undefined ? `at least ${least}` : exactly !== undefined ? `${exactly}` : "";
  if (!said || value === null) return said;
  const isMet = most !== undefined ? value <= most : least !== undefined ? value >= least : value === exactly;
  return isMet ? said : `${said}: **missed**`;
}

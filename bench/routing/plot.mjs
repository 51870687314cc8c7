// Draws docs/figures/perception-errors.svg and docs/figures/matching-worth.svg from what these parts print:
//   npm run bench -- routing perception matching | node bench/routing/plot.mjs
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const folder = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "docs", "figures");
const lines = readFileSync(0, "utf8").split("\n");

/** Groups of bars, one colour a kind; values are lengths between 0 and `most`. */
function bars(name, kinds, groups, most, label) {
  const [left, top, bar, gap, wide] = [190, 34, 9, 12, 520];
  const height = top + groups.length * (kinds.length * bar + gap) + 10;
  const parts = [`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${left + wide + 60} ${height}" font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="#fff"/>`];
  kinds.forEach(([kind, colour], at) => {
    const x = 10 + at * ((left + wide) / kinds.length);
    parts.push(`<rect x="${x}" y="8" width="10" height="10" fill="${colour}"/><text x="${x + 14}" y="17">${kind}</text>`);
  });
  groups.forEach(({ title, values }, group) => {
    const y = top + group * (kinds.length * bar + gap);
    parts.push(`<text x="${left - 8}" y="${y + kinds.length * bar / 2 + 4}" text-anchor="end">${title}</text>`);
    values.forEach((value, at) => {
      const length = Math.min(value / most, 1) * wide;
      parts.push(`<rect x="${left}" y="${y + at * bar}" width="${length.toFixed(1)}" height="${bar - 1}" fill="${kinds[at][1]}"/>`);
      parts.push(`<text x="${(left + length + 4).toFixed(1)}" y="${y + (at + 1) * bar - 1.5}" font-size="9">${label(value)}</text>`);
    });
  });
  parts.push("</svg>\n");
  writeFileSync(join(folder, name), parts.join("\n"));
  console.log(join(folder, name));
}

const row = (start) => lines.find((line) => line.startsWith(start))?.slice(24).match(/[\d.]+ \/ [\d.]+/g)?.map((pair) => pair.split(" / ").map(Number));
const sets = ["HSDPA 3G", "Ghent 4G", "FCC hd", "FCC sd", "Oboe chunks", "5G bulk", "LTE packets"];
const [harmonic, best, ours] = ["harmonic mean 5 ", "best of these ", "ours  "].map(row);
if (ours) {
  const kinds = [["harmonic mean of 5", "#b8b8b8"], ["best of ten for each set", "#7c9cc4"], ["ours, one for all", "#2f855a"]];
  const of = (column) => sets.map((set, at) => ({ title: `${set}, ${column ? "90th percentile" : "median"}`, values: [harmonic, best, ours].map((r) => r[at][column]) }));
  bars("perception-errors.svg", kinds, [...of(0), ...of(1)], 120, (value) => `${value} %`);
}

const rules = ["random", "nearest", "greedy", "value threshold", "greedy by value"];
const groups = [];
for (const line of lines) {
  const head = line.match(/^((?:unit sizes|full model).*?) {2,}[\d.]+ +[\d.]+ +([\d.]+) +[\d.]+ +\d+$/);
  if (head) groups.push({ title: head[1], gap: Number(head[2]), values: [] });
  const rule = line.match(/^ {4}over (.+?) +([\d.]+) %$/);
  if (rule && rules.includes(rule[1])) groups.at(-1).values.push((1 - groups.at(-1).gap) / (1 + Number(rule[2]) / 100));
}
if (groups.length) {
  const kinds = [...rules.map((rule, at) => [rule, ["#d4d4d4", "#b8b8b8", "#9fb6d3", "#7c9cc4", "#e2c48f"][at]]), ["market", "#2f855a"]];
  bars("matching-worth.svg", kinds, groups.map(({ title, gap, values }) => ({ title, values: [...values, 1 - gap] })), 1, (value) => `${(value * 100).toFixed(1)} %`);
}
if (!ours && !groups.length) throw new Error("no table of the parts perception and matching on the input");

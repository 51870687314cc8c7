// Draws docs/figures/deploy-use.svg from what the part `deploy` prints:
//   npm run bench -- routing deploy | node bench/routing/plot-deploy.mjs
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const KINDS = [["static", "#b8b8b8"], ["reactive", "#7c9cc4"], ["ours", "#2f855a"], ["oracle", "#e2c48f"]];
const rows = [];
for (const line of readFileSync(0, "utf8").split("\n")) {
  const cells = line.split("|").map((cell) => cell.trim().split(/\s+/));
  if (cells.length !== 4 || !/^\d/.test(cells[1][0])) continue;
  const [name, lead] = cells[0];
  rows.push({ name: `${name.replace("Twitter_volume_", "tweets ")}, lead ${lead}`, values: [cells[1][0], cells[1][1], cells[2][0], cells[3][0]].map(Number) });
}
if (rows.length === 0) throw new Error("no table of the part deploy on the input");

const [left, top, bar, gap, wide] = [210, 34, 7, 10, 520];
const height = top + rows.length * (4 * bar + gap) + 10;
const parts = [`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${left + wide + 50} ${height}" font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="#fff"/>`];
KINDS.forEach(([kind, colour], at) => {
  parts.push(`<rect x="${left + at * 90}" y="8" width="10" height="10" fill="${colour}"/><text x="${left + at * 90 + 14}" y="17">${kind}</text>`);
});
rows.forEach(({ name, values }, row) => {
  const y = top + row * (4 * bar + gap);
  parts.push(`<text x="${left - 8}" y="${y + 2 * bar + 4}" text-anchor="end">${name}</text>`);
  values.forEach((value, at) => {
    parts.push(`<rect x="${left}" y="${y + at * bar}" width="${(value * wide).toFixed(1)}" height="${bar - 1}" fill="${KINDS[at][1]}"/>`);
  });
  // Beside the longest bar, where nothing is behind it.
  parts.push(`<text x="${(left + Math.max(...values) * wide + 4).toFixed(1)}" y="${y + 3 * bar - 1}" font-size="9" fill="${KINDS[2][1]}">${values[2].toFixed(2)}</text>`);
});
parts.push("</svg>\n");
const file = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "docs", "figures", "deploy-use.svg");
writeFileSync(file, parts.join("\n"));
console.log(file);

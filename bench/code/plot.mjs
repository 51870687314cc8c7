// Draws the figures of docs/erasure-code.md and writes its tables, from what the benchmark printed:
// `node bench/code/run.mjs > out.txt && node bench/code/plot.mjs out.txt docs`.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const [source, docs] = process.argv.slice(2);
const folder = join(docs, "figures");
const lines = readFileSync(source, "utf8").split("\n");
const wasmAt = lines.findIndex((line) => line.startsWith("wasm "));
const rowsOf = (some) => some.flatMap((line) => {
  const m = /^\s*(\d+)\s+(\d+)\s+(\S+(?: pass)?)\s+(\S+)(?:\s+(\S+)\s+(\S+))?$/.exec(line);
  return m ? [{ t: +m[1], k: +m[2], name: m[3], speeds: [+m[4], +m[5], +m[6]] }] : [];
});
const rows = rowsOf(lines.slice(0, wasmAt < 0 ? undefined : wasmAt));
const wasmRows = wasmAt < 0 ? [] : rowsOf(lines.slice(wasmAt));
const operations = lines.flatMap((line) => {
  const m = /^K=\s*(\d+) missing\s+([\d.]+):\s+([\d.]+) a source symbol,\s+([\d.]+) set aside/.exec(line);
  return m ? [{ k: +m[1], share: m[2], value: +m[3], aside: +m[4] }] : [];
});
const failures = lines.flatMap((line) => {
  const m = /^K=\s*(\d+) missing\s+([\d.]+)( apart)?:\s+(\d+) trials, \+0 (\d+) \+1 (\d+) \+2 (\d+)/.exec(line);
  return m ? [{ k: +m[1], share: m[2], apart: !!m[3], trials: +m[4], beyond: [+m[5], +m[6], +m[7]] }] : [];
});

const colours = ["#0b6e99", "#c2571a", "#5b8c2a", "#8a4fa3", "#777777"];

/** One chart; `series` maps a name to points [x, y], both axes logarithmic unless `linear`. */
function chart({ title, xLabel, yLabel, series, linear = false, yMin, yMax }) {
  const [w, h, left, right, top, bottom] = [380, 300, 56, 10, 30, 44];
  const xs = Object.values(series).flatMap((s) => s.map((p) => p[0]));
  const [x0, x1] = [Math.min(...xs), Math.max(...xs)];
  const X = (x) => left + ((Math.log(x) - Math.log(x0)) / (Math.log(x1) - Math.log(x0) || 1)) * (w - left - right);
  const f = linear ? (y) => y : Math.log10;
  const Y = (y) => h - bottom - ((f(y) - f(yMin)) / (f(yMax) - f(yMin))) * (h - top - bottom);
  const ticks = [];
  if (linear) for (let y = yMin; y <= yMax; y += (yMax - yMin) / 5) ticks.push(y);
  else for (let e = Math.ceil(Math.log10(yMin)); e <= Math.log10(yMax) + 1e-9; e++) ticks.push(10 ** e);
  const label = (y) => (y >= 1 || y === 0 ? String(+y.toFixed(1)) : y.toExponential(0));
  const parts = [`<text x="${w / 2}" y="18" text-anchor="middle" font-weight="600">${title}</text>`];
  for (const y of ticks) {
    parts.push(`<line x1="${left}" x2="${w - right}" y1="${Y(y)}" y2="${Y(y)}" stroke="#8884"/>`);
    parts.push(`<text x="${left - 6}" y="${Y(y) + 4}" text-anchor="end">${label(y)}</text>`);
  }
  for (const x of [...new Set(xs)].sort((a, b) => a - b)) {
    parts.push(`<text x="${X(x)}" y="${h - bottom + 16}" text-anchor="middle">${x}</text>`);
  }
  parts.push(`<text x="${(left + w - right) / 2}" y="${h - 8}" text-anchor="middle">${xLabel}</text>`);
  parts.push(`<text transform="translate(14 ${(top + h - bottom) / 2}) rotate(-90)" text-anchor="middle">${yLabel}</text>`);
  Object.entries(series).forEach(([name, points], i) => {
    const colour = colours[i % colours.length];
    const drawn = points.filter(([, y]) => linear || y > 0);
    parts.push(
      `<polyline fill="none" stroke="${colour}" stroke-width="2" points="${drawn.map(([x, y]) => `${X(x)},${Y(y)}`).join(" ")}"/>`,
    );
    for (const [x, y] of drawn) parts.push(`<circle cx="${X(x)}" cy="${Y(y)}" r="3" fill="${colour}"/>`);
    parts.push(`<text x="${left + 8}" y="${h - bottom - 8 - 14 * (Object.keys(series).length - 1 - i)}" fill="${colour}">${name}</text>`);
  });
  return { w, h, body: parts.join("\n") };
}

function write(name, charts) {
  // The last number below an axis stands out by half of itself.
  const width = charts.reduce((sum, c) => sum + c.w, 0) + 12;
  const height = Math.max(...charts.map((c) => c.h));
  let at = 0;
  const groups = charts.map((c) => {
    const group = `<g transform="translate(${at} 0)">${c.body}</g>`;
    at += c.w;
    return group;
  });
  writeFileSync(
    join(folder, name),
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="11">` +
      `<rect width="100%" height="100%" fill="#fff"/>\n${groups.join("\n")}</svg>\n`,
  );
}

for (const [t, file] of [[1024, "code-speed-1k.svg"], [16384, "code-speed-16k.svg"]]) {
  const chartOf = (work, title) => {
    const series = {};
    for (const row of rows.filter((r) => r.t === t && r.name !== "XOR pass" && r.speeds[work] > 0)) {
      (series[row.name] ??= []).push([row.k, row.speeds[work]]);
    }
    return chart({ title: `${title}, T = ${t / 1024} KiB`, xLabel: "K", yLabel: "MB/s", series, yMin: 100, yMax: 10_000 });
  };
  write(file, [chartOf(0, "Encode with 20 % repair"), chartOf(1, "Decode, 20 % lost"), chartOf(2, "Decode, all coded")]);
}

const bySeries = (list, name, value) => {
  const series = {};
  for (const item of list) (series[name(item)] ??= []).push([item.k, value(item)]);
  return series;
};
write("code-operations.svg", [
  chart({
    title: "Symbol operations of decoding",
    xLabel: "K",
    yLabel: "per source symbol",
    series: bySeries(operations, (o) => (o.share === "1" ? "all coded" : "20 % lost"), (o) => o.value),
    linear: true,
    yMin: 0,
    yMax: 25,
  }),
]);
const large = failures.filter((f) => f.k > 64 && f.apart);
write(
  "code-failures.svg",
  [0, 1].map((n) =>
    chart({
      title: `Asked for apart: failed with ${n} symbols extra`,
      xLabel: "K",
      yLabel: "share of trials",
      series: bySeries(large, (f) => `${f.share * 100} % missing`, (f) => f.beyond[n] / f.trials),
      yMin: 1e-6,
      yMax: 1e-1,
    }),
  ),
);

// The tables, between marks in the document.
const table = (head, body) =>
  [head, head.map(() => "---"), ...body].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
const speedTable = (some) =>
  table(
    ["K", "", "encode", "20 % lost", "all coded"],
    some.map((r) => [r.k, r.name, ...r.speeds.map((v) => (v > 0 ? v.toFixed(0) : r.name === "XOR pass" ? "" : "–"))]),
  );
const goals = [
  ["enc_over_raptorq", ">=", 8], ["dec20_over_raptorq", ">=", 6], ["all_over_raptorq", ">=", 5],
  ["enc_over_rssimd", ">=", 2.5], ["dec20_over_rssimd", ">=", 7], ["all_1k_over_raptorq", ">=", 6],
  ["wasm_enc_over_raptorq", ">=", 15], ["wasm_dec20_over_raptorq", ">=", 12], ["wasm_all_over_raptorq", ">=", 9],
  ["wasm_over_native", ">=", 0.6], ["passes_enc", "<=", 2], ["passes_dec20", "<=", 3], ["passes_all", "<=", 4.5],
  ["fail0", "<=", 6e-3], ["fail1", "<=", 5e-5], ["fail2", "<=", 1e-6],
  ["ops_exponent", "<=", 0.05], ["time_exponent_enc", "<=", 1.1], ["time_exponent_dec", "<=", 1.15],
  ["encoder_memory_share", "<=", 0.05],
];
const { figures } = JSON.parse(lines.filter((line) => line.startsWith('{"bench"')).pop());
const number = (x) => (x !== 0 && Math.abs(x) < 1e-2 ? x.toExponential(1) : String(+x.toFixed(3)));
const met = (value, how, goal) => (how === ">=" ? value >= goal : value <= goal);
const tables = {
  "speed-16k": speedTable(rows.filter((r) => r.t === 16384)),
  "speed-1k": speedTable(rows.filter((r) => r.t === 1024)),
  "speed-wasm": table(
    ["T", "K", "", "encode", "20 % lost", "all coded"],
    wasmRows.map((r) => [r.t, r.k, r.name, ...r.speeds.map((v) => (v > 0 ? v.toFixed(0) : "–"))]),
  ),
  goals: table(
    ["figure", "goal", "measured", ""],
    goals
      .filter(([key]) => key in figures)
      .map(([key, how, goal]) => [
        `\`${key}\``,
        `${how === ">=" ? "at least" : "at most"} ${number(goal)}`,
        number(figures[key]),
        met(figures[key], how, goal) ? "" : "missed",
      ]),
  ),
  operations: table(
    ["K", "missing", "sums a source symbol", "set aside"],
    operations.map((o) => [o.k, `${Math.round(o.share * 100)} %`, o.value.toFixed(2), o.aside.toFixed(0)]),
  ),
  failures: table(
    ["K", "missing", "asked", "trials", "failed at +0", "at +1", "at +2"],
    failures.map((f) => [f.k, `${Math.round(f.share * 100)} %`, f.apart ? "apart" : "knowing", f.trials, ...f.beyond]),
  ),
};
const path = join(docs, "erasure-code.md");
let text = readFileSync(path, "utf8");
for (const [name, content] of Object.entries(tables)) {
  const [begin, end] = [`<!-- ${name} -->`, `<!-- end of ${name} -->`];
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`${path} has no place for the table ${name}`);
  text = `${text.slice(0, from)}${begin}\n${content}\n${text.slice(to)}`;
}
writeFileSync(path, text);

// The market beside an exact solver (HiGHS, compiled to wasm) on small cases: the bound proved by prices must be at least the optimum of the
// linear program, that at least the optimum in whole demands, and that at least what the market found.
import { execFileSync } from "node:child_process";
import loadHighs from "highs";

const SECONDS_MAX = 5;

/** The same problem in CPLEX's LP format. */
function program({ nodes, demands }, whole) {
  const profit = [];
  const rows = [];
  const use = nodes.map(() => [[], []]);
  const columns = [];
  demands.forEach(([first, second, replicas, at], i) => {
    const domains = new Map();
    // A node that could never hold it is no candidate, in parts neither.
    const possible = at.filter(([node]) => first <= nodes[node][0] && second <= nodes[node][1]);
    for (const [node, worth] of possible) {
      const [, , cost, domain] = nodes[node];
      const column = `x${i}_${node}`;
      columns.push(column);
      profit.push(`${(worth - first * cost).toFixed(9)} ${column}`.replace(/^(?=\d)/, "+"));
      if (first) use[node][0].push(`${first} ${column}`);
      if (second) use[node][1].push(`${second} ${column}`);
      domains.set(domain, [...(domains.get(domain) ?? []), column]);
    }
    if (possible.length) rows.push(`${possible.map(([node]) => `x${i}_${node}`).join(" + ")} <= ${replicas}`);
    if (replicas > 1) for (const of of domains.values()) if (of.length > 1) rows.push(`${of.join(" + ")} <= 1`);
  });
  use.forEach((resources, node) => resources.forEach((terms, r) => {
    if (terms.length) rows.push(`${terms.join(" + ")} <= ${nodes[node][r]}`);
  }));
  const bounds = columns.map((column) => `0 <= ${column} <= 1`).join("\n");
  return `Maximize\n obj: ${profit.join("\n ")}\nSubject To\n${rows.map((row, i) => ` c${i}: ${row}`).join("\n")}\nBounds\n${bounds}\n`
    + `${whole ? `Binary\n${columns.join("\n")}\n` : ""}End\n`;
}

/** Runs the comparison, prints its table and gives its figures. Throws when an order that must hold does not. */
export async function oracle(binary, words) {
  const cases = execFileSync(binary, ["--cases", ...words], { encoding: "utf8", maxBuffer: 1 << 28 }).trim().split("\n").map((line) => JSON.parse(line));
  const highs = await loadHighs();
  const figures = {};
  console.log("\n== oracle: small markets beside HiGHS (240 demands, 24 nodes, 8 candidates each)");
  console.log("                          ours / whole optimum      bound / linear optimum      linear / whole optimum");
  for (const full of [false, true]) {
    const [found, bounds, gaps] = [[], [], []];
    let proved = 0;
    for (const of of cases.filter((one) => one.full === full)) {
      const linear = highs.solve(program(of, false), { output_flag: false });
      const whole = highs.solve(program(of, true), { output_flag: false, time_limit: SECONDS_MAX, mip_rel_gap: 1e-6 });
      if (linear.Status !== "Optimal") throw new Error(`the linear program of seed ${of.seed} ended with ${linear.Status}`);
      const slack = 1e-5 * linear.ObjectiveValue;
      if (of.bound < linear.ObjectiveValue - slack) throw new Error(`seed ${of.seed}: the bound ${of.bound} is below the linear optimum ${linear.ObjectiveValue}`);
      if (of.worth > linear.ObjectiveValue + slack) throw new Error(`seed ${of.seed}: ${of.worth} is more than there is: ${linear.ObjectiveValue}`);
      if (whole.Status === "Optimal") {
        proved += 1;
        if (of.worth > whole.ObjectiveValue + slack) throw new Error(`seed ${of.seed}: ${of.worth} is more than there is: ${whole.ObjectiveValue}`);
      }
      found.push(of.worth / whole.ObjectiveValue);
      bounds.push(of.bound / linear.ObjectiveValue);
      gaps.push(linear.ObjectiveValue / whole.ObjectiveValue);
    }
    const mean = (list) => list.reduce((sum, x) => sum + x, 0) / list.length;
    const show = (list, worst) => `${mean(list).toFixed(5)} (worst ${worst(...list).toFixed(5)})`;
    const name = full ? "full model" : "unit sizes";
    console.log(`${name.padEnd(12)} ${`${found.length} cases`.padEnd(10)} ${show(found, Math.min)}   ${show(bounds, Math.max)}   ${show(gaps, Math.max)}   ${proved} proved optimal`);
    figures[`match_oracle_${full ? "full" : "unit"}`] = mean(found);
    figures[`match_oracle_bound_${full ? "full" : "unit"}`] = mean(bounds);
  }
  return figures;
}

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
// @ts-expect-error scripts have no types
import { goals, page, records } from "../../../scripts/lib/results.mjs";

const record = { bench: "transfer", words: [], date: "2026-01-02", commit: "abc", machine: "2 cores", figures: { rate: 0.5, worst: 3, other: null } };

test("the page of results is what the records say", () => {
  expect(readFileSync(join(import.meta.dirname, "../../../docs/results.md"), "utf8")).toBe(page(records(), goals()));
});

test("a goal that is missed is said", () => {
  const rows = page([record], { transfer: { rate: { what: "a rate", least: 0.7 }, worst: { what: "", most: 3 } } }).split("\n");
  expect(rows).toContain("| `rate` | a rate | 0.5 | at least 0.7: **missed** |");
  expect(rows).toContain("| `worst` |  | 3 | at most 3 |");
});

test("a figure that was not measured is neither met nor missed", () => {
  expect(page([record], { transfer: { other: { what: "", most: 1 } } })).toContain("| `other` |  | not measured | at most 1 |");
});

test("each goal is of a benchmark that there is, in one direction", () => {
  for (const [bench, figures] of Object.entries(goals() as Record<string, Record<string, object>>)) {
    expect(readFileSync(join(import.meta.dirname, `../../../bench/${bench}/run.mjs`), "utf8")).toBeTruthy();
    for (const goal of Object.values(figures)) expect(Object.keys(goal).filter((key) => ["most", "least", "exactly"].includes(key)).length).toBeLessThan(2);
  }
});

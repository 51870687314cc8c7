import { describe, expect, it } from "vitest";
import { Rates } from "../src/rates.ts";

describe("rates of counters", () => {
  it("is the slope over the window", () => {
    const rates = new Rates(2000);
    for (let at = 0; at <= 4000; at += 250) rates.note("a", at, at * 1000);
    expect(rates.of("a", 4000)).toBe(1_000_000);
  });

  it("falls to nothing when the counter rests for a window", () => {
    const rates = new Rates(2000);
    rates.note("a", 0, 0);
    rates.note("a", 1000, 5_000_000);
    expect(rates.of("a", 2000)).toBe(2_500_000);
    expect(rates.of("a", 3000)).toBe(0);
  });

  it("begins anew when a counter does", () => {
    const rates = new Rates(2000);
    rates.note("a", 0, 9_000_000);
    rates.note("a", 1000, 1000);
    expect(rates.of("a", 1000)).toBe(0);
    rates.note("a", 2000, 2000);
    expect(rates.of("a", 2000)).toBe(1000);
  });

  it("does not make a fantastic rate of one burst", () => {
    const rates = new Rates(2000);
    rates.note("a", 0, 0);
    rates.note("a", 1, 1_000_000);
    expect(rates.of("a", 1)).toBe(2_000_000);
  });

  it("knows nothing of what was never noted, or was forgotten", () => {
    const rates = new Rates();
    expect(rates.of("a", 0)).toBe(0);
    rates.note("a", 0, 0);
    rates.note("a", 1000, 1000);
    rates.keep(new Set(["b"]));
    expect(rates.of("a", 1000)).toBe(0);
  });
});

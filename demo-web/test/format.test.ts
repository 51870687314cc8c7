import { describe, expect, it } from "vitest";
import { bytes, count, duration, limit, percent, rate } from "../src/format.ts";

describe("figures in words", () => {
  it("gives bytes in decimal units, and keeps their form while they grow", () => {
    const cases: [number, string][] = [
      [0, "0 B"],
      [999, "999 B"],
      [1000, "1 kB"],
      [262_144, "262 kB"],
      [999_499, "999 kB"],
      [999_500, "1.0 MB"],
      [4_000_000, "4.0 MB"],
      [22_718_509, "22.7 MB"],
      [104_000_000, "104 MB"],
      [4_294_967_296, "4.3 GB"],
    ];
    for (const [number, words] of cases) expect(bytes(number)).toBe(words);
  });

  it("shows no rate as a dash, and none below a kilobyte", () => {
    expect(rate(0)).toBe("–");
    expect(rate(3)).toBe("1 kB/s");
    expect(rate(2_340_000)).toBe("2.3 MB/s");
  });

  it("says limits shortly", () => {
    expect(limit(8e6)).toBe("8 MB");
    expect(limit(Infinity)).toBe("no limit");
  });

  it("says all only of all, and nothing only of nothing", () => {
    expect(percent(0, 10)).toBe("0 %");
    expect(percent(1, 100_000)).toBe("1 %");
    expect(percent(99_999, 100_000)).toBe("99 %");
    expect(percent(10, 10)).toBe("100 %");
    expect(percent(0, 0)).toBe("0 %");
  });

  it("rounds durations without ever showing sixty seconds", () => {
    const cases: [number, string][] = [
      [110, "0.11 s"],
      [3_140, "3.1 s"],
      [24_000, "24 s"],
      [59_400, "59 s"],
      [59_600, "1 min"],
      [108_000, "1 min 48 s"],
      [3_600_000, "1 h"],
      [5_400_000, "1 h 30 min"],
    ];
    for (const [ms, words] of cases) expect(duration(ms)).toBe(words);
  });

  it("knows one from many", () => {
    expect([0, 1, 2].map((number) => count(number, "peer"))).toEqual(["0 peers", "1 peer", "2 peers"]);
  });
});

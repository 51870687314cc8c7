import { expect, test } from "vitest";
import { gas } from "../src/format.ts";
import { COLUMNS, PLACES, ROWS, TILE_PIXELS, colour, inputOf, paint, tiles } from "../src/job/fractal.ts";

test("tiles cover the picture once, the middle first", () => {
  const all = tiles();
  expect(new Set(all.map(({ column, row }) => `${column} ${row}`)).size).toBe(COLUMNS * ROWS);
  expect(all[0]?.row).toBe((ROWS - 1) / 2);
});

test("neighbouring tiles meet", () => {
  const place = PLACES[1]!;
  const at = (column: number, row: number) => new DataView(inputOf(place, { column, row }).buffer);
  const [a, b] = [at(2, 1), at(3, 2)];
  const size = a.getFloat64(16, true);
  expect(b.getFloat64(0, true)).toBeCloseTo(a.getFloat64(0, true) + size, 12);
  expect(b.getFloat64(8, true)).toBeCloseTo(a.getFloat64(8, true) + size, 12);
  expect(a.getUint32(24, true)).toBe(TILE_PIXELS);
});

test("every shade has a colour, and what stays is night", () => {
  expect(paint(Uint8Array.of(0, 128, 255))).toHaveLength(12);
  expect(colour(255)).toEqual([10, 18, 24, 255]);
  for (let shade = 0; shade < 256; shade++) {
    for (const part of colour(shade)) expect(part >= 0 && part <= 255).toBe(true);
  }
});

test("gas is told in the fewest digits that say something", () => {
  expect([gas(0), gas(999), gas(12_345), gas(5_300_000), gas(1.25e9), gas(250e9)]).toEqual(["0 gas", "999 gas", "12 k gas", "5.3 M gas", "1.3 G gas", "250 G gas"]);
});

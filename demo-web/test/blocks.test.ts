import { describe, expect, it } from "vitest";
import { cellsOf, gridFor, heldOf, holds } from "../src/blocks/grid.ts";

describe("the block map", () => {
  it("has room for every block, in bounds, with cells as large as they can be", () => {
    for (const count of [1, 20, 22, 500, 1024, 8000]) {
      for (const width of [300, 540]) {
        const { columns, rows, cell, gap, perCell } = gridFor(count, width, 150);
        expect(columns * rows * perCell).toBeGreaterThanOrEqual(count);
        expect(columns * (cell + gap) - gap).toBeLessThanOrEqual(width);
        expect(rows * (cell + gap) - gap).toBeLessThanOrEqual(150);
      }
    }
    expect(gridFor(20, 540, 150)).toMatchObject({ cell: 22, perCell: 1 });
    expect(gridFor(8000, 300, 150).perCell).toBeGreaterThan(1);
  });

  it("calls a cell whole only when all its blocks are", () => {
    expect(cellsOf(Uint8Array.of(255, 255, 255, 254, 0), 2)).toEqual([1, 509 / 510, 0]);
  });

  it("reads bits least significant first", () => {
    const bits = Uint8Array.of(0b0000_0101, 0b0000_0010);
    expect([0, 1, 2, 9, 10].map((symbol) => holds(bits, symbol))).toEqual([true, false, true, true, false]);
    expect(heldOf(bits, 16)).toBe(3);
    expect(heldOf(bits, 9)).toBe(2);
  });
});

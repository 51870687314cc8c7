export interface Grid {
  columns: number;
  rows: number;
  /** Pixels of a cell's side, and between two. */
  cell: number;
  gap: number;
  /** Blocks that one cell stands for. */
  perCell: number;
}

/** The largest cells, up to `cellMax`, with which `count` blocks fit. Below four pixels a cell stands for several blocks. */
export function gridFor(count: number, width: number, heightMax: number, cellMax = 22): Grid {
  for (let cell = cellMax; cell >= 4; cell--) {
    const gap = cell >= 14 ? 3 : cell >= 8 ? 2 : 1;
    const columns = Math.max(1, Math.floor((width + gap) / (cell + gap)));
    const rows = Math.ceil(count / columns);
    if (rows * (cell + gap) - gap <= heightMax) return { columns, rows: Math.max(1, rows), cell, gap, perCell: 1 };
  }
  const cell = 4;
  const gap = 1;
  const columns = Math.max(1, Math.floor((width + gap) / (cell + gap)));
  const rowsMax = Math.max(1, Math.floor((heightMax + gap) / (cell + gap)));
  const perCell = Math.ceil(count / (columns * rowsMax));
  return { columns, rows: Math.ceil(count / perCell / columns), cell, gap, perCell };
}

/** The share held of each cell, 0 to 1: the mean of its blocks, and 1 only when all are whole. */
export function cellsOf(blocks: Uint8Array, perCell: number): number[] {
  const cells: number[] = [];
  for (let start = 0; start < blocks.length; start += perCell) {
    const part = blocks.subarray(start, start + perCell);
    cells.push(part.reduce((sum, share) => sum + share, 0) / (255 * part.length));
  }
  return cells;
}

/** Whether a symbol is held: one bit each, least significant first. */
export function holds(bits: Uint8Array, symbol: number): boolean {
  return (((bits[symbol >> 3] ?? 0) >> (symbol & 7)) & 1) === 1;
}

export function heldOf(bits: Uint8Array, symbols: number): number {
  let held = 0;
  for (let symbol = 0; symbol < symbols; symbol++) if (holds(bits, symbol)) held += 1;
  return held;
}

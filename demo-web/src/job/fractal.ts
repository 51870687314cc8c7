/** A picture in tiles, each of them one task; see kits/rust/examples/fractal.rs for what goes in and out. */

export const TILE_PIXELS = 128;
export const COLUMNS = 8;
export const ROWS = 5;

/** A part of the plane: its centre, how wide it is, and after how many passes a point is taken for one that stays. */
export interface Place {
  name: string;
  x: number;
  y: number;
  width: number;
  passes: number;
}

export const PLACES: readonly Place[] = [
  { name: "The whole set", x: -0.65, y: 0, width: 3.5, passes: 3000 },
  { name: "Seahorse valley", x: -0.7453, y: 0.1127, width: 0.0065, passes: 6000 },
  { name: "A spiral", x: -0.761574, y: -0.0847596, width: 0.0012, passes: 8000 },
  { name: "Elephant valley", x: 0.2752, y: 0.0064, width: 0.012, passes: 6000 },
];

export interface Tile {
  column: number;
  row: number;
}

/** The tiles, those in the middle first: that is where people look. */
export function tiles(): Tile[] {
  const all = Array.from({ length: COLUMNS * ROWS }, (_, at) => ({ column: at % COLUMNS, row: Math.floor(at / COLUMNS) }));
  const far = ({ column, row }: Tile) => (column - (COLUMNS - 1) / 2) ** 2 + (row - (ROWS - 1) / 2) ** 2;
  return all.sort((a, b) => far(a) - far(b));
}

/** A tile's input: its lower left corner, its size, its pixels and passes. */
export function inputOf(place: Place, { column, row }: Tile): Uint8Array {
  const size = place.width / COLUMNS;
  const bytes = new Uint8Array(32);
  const view = new DataView(bytes.buffer);
  view.setFloat64(0, place.x - place.width / 2 + column * size, true);
  view.setFloat64(8, place.y - (ROWS * size) / 2 + row * size, true);
  view.setFloat64(16, size, true);
  view.setUint32(24, TILE_PIXELS, true);
  view.setUint32(28, place.passes, true);
  return bytes;
}

/** A tile's output as a picture's bytes. */
export function paint(shades: Uint8Array): Uint8ClampedArray<ArrayBuffer> {
  const pixels = new Uint8ClampedArray(shades.length * 4);
  shades.forEach((shade, at) => pixels.set(colour(shade), at * 4));
  return pixels;
}

/** Most points leave at once: so the low shades have most of the range. What stays is night. */
export function colour(shade: number): [number, number, number, number] {
  if (shade === 255) return [10, 18, 24, 255];
  const at = Math.sqrt(shade / 255);
  const wave = (phase: number) => 0.5 + 0.5 * Math.cos(2 * Math.PI * (1.6 * at + phase));
  const fade = 0.25 + 0.75 * Math.min(1, at * 6);
  return [255 * fade * (0.15 + 0.8 * wave(0.55)), 255 * fade * (0.35 + 0.6 * wave(0.42)), 255 * fade * (0.45 + 0.5 * wave(0.25)), 255];
}

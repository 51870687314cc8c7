const UNITS = ["B", "kB", "MB", "GB", "TB"];

/** `5.3 MB`: decimal units; one digit behind the point from a megabyte up to a hundred, so that growing figures keep their form. */
export function bytes(count: number): string {
  let unit = 0;
  let value = Math.max(0, count);
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value.toFixed(unit < 2 || value >= 99.95 ? 0 : 1)} ${UNITS[unit]}`;
}

/** `1.2 MB/s`; below a byte a second it is a dash. */
export function rate(bytesPerSecond: number): string {
  return bytesPerSecond < 1 ? "–" : `${bytes(Math.max(1000, bytesPerSecond))}/s`;
}

/** A limit, in its shortest form: `8 MB`, `no limit`. */
export function limit(count: number): string {
  return Number.isFinite(count) ? bytes(count).replace(".0 ", " ") : "no limit";
}

/** `45 %`: all of it only when it is all, nothing only when it is nothing. */
export function percent(part: number, whole: number): string {
  if (whole <= 0 || part <= 0) return "0 %";
  if (part >= whole) return "100 %";
  return `${Math.min(99, Math.max(1, Math.round((100 * part) / whole)))} %`;
}

/** `0.8 s`, `12 s`, `3 min 5 s`. */
export function duration(ms: number): string {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 0.995) return `${seconds.toFixed(2)} s`;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 59.5) return `${Math.round(seconds)} s`;
  const whole = Math.round(seconds);
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return whole % 60 ? `${minutes} min ${whole % 60} s` : `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
}

/** Enough of a public key to tell a few peers apart. */
export function shortId(id: string): string {
  return id.slice(0, 6);
}

/** `1 peer`, `2 peers`. */
export function count(number: number, one: string, many = `${one}s`): string {
  return `${number} ${number === 1 ? one : many}`;
}

const GAS = ["", " k", " M", " G", " T"];

/** `5.3 G gas`: gas is what WebAssembly's instructions cost, the same on every device. */
export function gas(count: number): string {
  let unit = 0;
  let value = Math.max(0, count);
  while (value >= 999.5 && unit < GAS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value.toFixed(unit < 2 || value >= 99.95 ? 0 : 1)}${GAS[unit]} gas`;
}

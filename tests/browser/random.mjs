// Bytes that a seed makes: the same in a page and in Node, whole or from any offset on.

const UNIT_BYTES = 64 << 10;

/** 64 KiB that no compression makes smaller: xorshift32, seeded by seed and place. */
function unit(seed, index) {
  const words = new Uint32Array(UNIT_BYTES / 4);
  let x = (Math.imul(seed, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b)) | 1;
  for (let at = 0; at < words.length; at++) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    words[at] = x;
  }
  return new Uint8Array(words.buffer);
}

/** `length` bytes that a seed makes, in pieces. */
function pieces(seed, length) {
  const parts = [];
  for (let at = 0; at < length; at += UNIT_BYTES) {
    parts.push(unit(seed, at / UNIT_BYTES).subarray(0, Math.min(UNIT_BYTES, length - at)));
  }
  return parts;
}

export function randomBlob(seed, length) {
  return new Blob(pieces(seed, length));
}

export function randomBytes(seed, length) {
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces(seed, length)) {
    bytes.set(piece, at);
    at += piece.byteLength;
  }
  return bytes;
}

/** Throws at the first byte that is not what the seed makes. */
export function check(seed, offset, bytes) {
  for (let at = 0; at < bytes.byteLength; ) {
    const index = Math.floor((offset + at) / UNIT_BYTES);
    const right = unit(seed, index);
    const from = offset + at - index * UNIT_BYTES;
    const count = Math.min(UNIT_BYTES - from, bytes.byteLength - at);
    for (let i = 0; i < count; i++) {
      if (bytes[at + i] !== right[from + i]) throw new Error(`byte ${offset + at + i} is wrong`);
    }
    at += count;
  }
}

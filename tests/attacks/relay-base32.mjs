// Ids in texts (RFC 4648, lower case, no padding).
const ALPHABET = "abcdefghijklmnopqrstuvwxyz234567";

export function fromBase32(text) {
  let [bits, count] = [0n, 0];
  for (const c of text) {
    bits = (bits << 5n) | BigInt(ALPHABET.indexOf(c));
    count += 5;
  }
  const bytes = Buffer.alloc(count >> 3);
  bits >>= BigInt(count & 7);
  for (let at = bytes.length - 1; at >= 0; at -= 1) {
    bytes[at] = Number(bits & 255n);
    bits >>= 8n;
  }
  return bytes;
}

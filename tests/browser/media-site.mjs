// A site with media as others have it: an ordinary server with ranges, which remembers what it was asked for.
import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { extname, join, normalize } from "node:path";
import { deflateSync } from "node:zlib";
import { packedPackage } from "./harness.mjs";
import { randomBytes } from "./random.mjs";

const TYPES = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".wasm": "application/wasm",
  ".png": "image/png",
  ".mp4": "video/mp4",
  ".m4s": "video/iso.segment",
  ".m3u8": "application/vnd.apple.mpegurl",
};

export class MediaSite {
  /** `files`: what lies where, as bytes or text, for instance `{"/a.png": bytes}`. The packed package is at /peeredge/. */
  static async start(files) {
    const site = new MediaSite();
    site.files = files;
    site.asked = [];
    const server = createServer((request, response) => site.#answer(request, response));
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    site.url = `http://127.0.0.1:${server.address().port}`;
    site.stop = () =>
      new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      });
    return site;
  }

  /** How often a path was asked for. */
  askedFor(path) {
    return this.asked.filter((asked) => asked.path === path).length;
  }

  #answer(request, response) {
    const path = normalize(decodeURIComponent(new URL(request.url, "http://site").pathname));
    this.asked.push({ path, range: request.headers.range ?? null });
    const body = this.#body(path);
    if (!body) return response.writeHead(404).end();
    const headers = { "content-type": TYPES[extname(path)] ?? "application/octet-stream", "accept-ranges": "bytes" };
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "");
    if (!range) return response.writeHead(200, { ...headers, "content-length": body.length }).end(body);
    const start = Number(range[1]);
    const end = Math.min(range[2] ? Number(range[2]) : Infinity, body.length - 1);
    response.writeHead(206, { ...headers, "content-length": end - start + 1, "content-range": `bytes ${start}-${end}/${body.length}` });
    response.end(body.subarray(start, end + 1));
  }

  #body(path) {
    if (path in this.files) return Buffer.from(this.files[path]);
    if (!path.startsWith("/peeredge/")) return null;
    try {
      return readFileSync(join(packedPackage(), path.slice(9)));
    } catch {
      return null;
    }
  }
}

/** A picture of noise: 8-bit grey, `side` pixels wide and high. */
export function noisePng(seed, side) {
  const noise = randomBytes(seed, side * side);
  const rows = Buffer.concat(Array.from({ length: side }, (_, row) => Buffer.concat([Buffer.from([0]), noise.subarray(row * side, (row + 1) * side)])));
  const header = Buffer.alloc(13);
  header.writeUInt32BE(side, 0);
  header.writeUInt32BE(side, 4);
  header[8] = 8;
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([signature, chunk("IHDR", header), chunk("IDAT", deflateSync(rows)), chunk("IEND", Buffer.alloc(0))]);
}

function chunk(name, data) {
  const body = Buffer.concat([Buffer.from(name, "latin1"), data]);
  const framed = Buffer.alloc(body.length + 8);
  framed.writeUInt32BE(data.length, 0);
  body.copy(framed, 4);
  framed.writeUInt32BE(crc32(body), body.length + 4);
  return framed;
}

function crc32(bytes) {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

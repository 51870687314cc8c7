// A site's server made by hand, which misbehaves as it is told, path by path; and pages that use the package. It counts what it sends.
import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { extname, join, normalize } from "node:path";
import { gzipSync } from "node:zlib";
import { packedPackage } from "../browser/harness.mjs";

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm", ".css": "text/css", ".svg": "image/svg+xml", ".png": "image/png", ".m3u8": "application/vnd.apple.mpegurl", ".mp4": "video/mp4", ".m4s": "video/iso.segment" };

/** How servers answer. Each gets the request, the response, the file's bytes, the range asked for, and the site. */
export const HOW = {
  well({ response, body, range, headers }) {
    if (!range) return response.writeHead(200, { ...headers, "content-length": body.length }).end(body);
    const [start, last] = range;
    response.writeHead(206, { ...headers, "content-range": `bytes ${start}-${last}/${body.length}`, "content-length": last + 1 - start });
    response.end(body.subarray(start, last + 1));
  },
  /** Everything, a piece at a time, whatever was asked for. */
  noRanges({ response, body, headers }) {
    response.writeHead(200, { ...headers, "content-length": body.length });
    pour(response, body);
  },
  silent() {},
  /** A few bytes a second for ever. */
  drips({ response, body, range, headers }) {
    const [start, last] = range ?? [0, body.length - 1];
    const head = { ...headers, "content-length": last + 1 - start };
    response.writeHead(range ? 206 : 200, range ? { ...head, "content-range": `bytes ${start}-${last}/${body.length}` } : head);
    let at = start;
    const timer = setInterval(() => response.write(body.subarray(at, (at += 10))), 100);
    response.on("close", () => clearInterval(timer));
  },
  gzip({ response, body, headers }) {
    const packed = gzipSync(body);
    response.writeHead(200, { ...headers, "content-encoding": "gzip", "content-length": packed.length }).end(packed);
  },
  /** Half of what was asked for, but 64 KiB at least, then the connection ends. */
  closesEarly({ response, body, range, headers }) {
    const [start, last] = range ?? [0, body.length - 1];
    const head = { ...headers, "content-length": last + 1 - start };
    response.writeHead(range ? 206 : 200, range ? { ...head, "content-range": `bytes ${start}-${last}/${body.length}` } : head);
    const half = Math.min(Math.max(65_536, Math.ceil((last + 1 - start) / 2)), last + 1 - start);
    response.write(body.subarray(start, start + half), () => (last + 1 - start <= half ? response.end() : response.destroy()));
  },
  oddRange({ response, body, range, headers }) {
    if (!range) return HOW.well({ response, body, range, headers });
    response.writeHead(206, { ...headers, "content-range": `Bytes  ${range[0]} - ${range[1]} / *` }).end(body.subarray(range[0], range[1] + 1));
  },
  /** The first bytes, under the right name. */
  wrongPart({ response, body, range, headers }) {
    if (!range) return HOW.well({ response, body, range, headers });
    const length = range[1] + 1 - range[0];
    response.writeHead(206, { ...headers, "content-range": `bytes 0-${length - 1}/${body.length}` }).end(body.subarray(0, length));
  },
  /** Another file of the same length. */
  otherFile({ response, body, range, headers }) {
    HOW.well({ response, body: Buffer.from(body.map((byte) => byte ^ 1)), range, headers });
  },
  endless({ response, body, headers }) {
    response.writeHead(200, headers);
    const go = () => void (!response.destroyed && response.write(body.subarray(0, 65_536)) && setImmediate(go));
    response.on("drain", go);
    go();
  },
  hugeHeaders({ response, headers }) {
    response.writeHead(206, { ...headers, "x-huge": "a".repeat(400_000) }).end();
  },
  redirects({ response, path, site }) {
    response.writeHead(302, { location: `${site.elsewhere}${path}`, "access-control-allow-origin": "*" }).end();
  },
  busy({ response, headers }) {
    response.writeHead(503, { ...headers, "retry-after": "1" }).end("busy");
  },
};

/** The first `count` requests one way, all others the other. */
export const first = (count, how, then = HOW.well) => {
  let asked = 0;
  return (all) => (asked++ < count ? how(all) : then(all));
};

function pour(response, body) {
  let at = 0;
  const go = () => {
    while (at < body.length && !response.destroyed) if (!response.write(body.subarray(at, (at += 65_536)))) return void response.once("drain", go);
    response.end();
  };
  go();
}

export class OddSite {
  /** `files`: bytes or text by their paths. How each is answered is in `how`, by its path: well, unless it is told otherwise. */
  static async start(files, { elsewhere = null } = {}) {
    const site = new OddSite();
    Object.assign(site, { files, how: {}, asked: [], sent: {}, headers: {}, elsewhere });
    const server = createServer({ maxHeaderSize: 65_536 }, (request, response) => site.#answer(request, response));
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    site.url = `http://127.0.0.1:${server.address().port}`;
    site.stop = () =>
      new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      });
    return site;
  }

  askedFor(path) {
    return this.asked.filter((asked) => asked.path === path).length;
  }

  /** Bytes of bodies sent for a path. */
  sentOf(path) {
    return this.sent[path] ?? 0;
  }

  forget() {
    this.asked.length = 0;
    this.sent = {};
  }

  #answer(request, response) {
    const path = normalize(decodeURIComponent(new URL(request.url, "http://site").pathname));
    this.asked.push({ path, range: request.headers.range ?? null, method: request.method });
    const body = this.#body(path);
    if (!body) return response.writeHead(404).end();
    const cors = { "access-control-allow-origin": "*", "access-control-allow-headers": "range", "access-control-expose-headers": "content-range, content-length, content-encoding" };
    if (request.method === "OPTIONS") return response.writeHead(204, cors).end();
    for (const name of ["write", "end"]) {
      const real = response[name].bind(response);
      response[name] = (chunk, ...rest) => {
        if (chunk?.length) this.sent[path] = this.sentOf(path) + chunk.length;
        return real(chunk, ...rest);
      };
    }
    const headers = { "content-type": TYPES[extname(path)] ?? "application/octet-stream", ...cors, ...this.headers[path] };
    const match = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "");
    const range = match && Number(match[1]) < body.length ? [Number(match[1]), Math.min(match[2] ? Number(match[2]) : Infinity, body.length - 1)] : null;
    (this.how[path] ?? HOW.well)({ request, response, body, range, headers, path, site: this });
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

/** A tab whose visitor gives `uploadBytesPerSecond`, and the links of what it published. */
export async function holder(stage, files, uploadBytesPerSecond = Infinity) {
  const tab = await stage.tab();
  await tab.create({ caps: { uploadBytesPerSecond } });
  const links = {};
  for (const [path, bytes] of Object.entries(files)) {
    const settings = [path.split("/").at(-1), Buffer.from(bytes).toString("base64"), TYPES[extname(path)] ?? "application/octet-stream"];
    links[path] = await tab.run(async ([name, base64, type]) => {
      const blob = await (await fetch(`data:application/octet-stream;base64,${base64}`)).blob();
      return (await harness.peer().publish(blob, { name, type })).link;
    }, settings);
  }
  return { tab, links };
}

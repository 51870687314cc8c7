// How soon `peeredge get` says that a content will not come, and in which words, when a relay is not there, is silent, lies, or is none.
import { createHash } from "node:crypto";
import { createServer as createTlsServer } from "node:https";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, test } from "vitest";
import { Relay, freePort } from "../browser/relay.mjs";
import { attacked } from "./attack.mjs";
import { answerOf, folder, httpServer, idOf, names, noise, pathOf, peeredge, publish, same, server } from "./program.mjs";

const FILM = noise(4_000_000, 1);
let relay, link, base;

beforeAll(async () => {
  base = folder("get-verdict");
  link = await publish(base.at("data"), "film.bin", FILM);
  relay = await Relay.start({ dataDir: base.at("data"), settings: { stun: false } });
  link = relay.url + pathOf(link);
});

afterAll(async () => {
  await relay?.stop();
  base?.remove();
});

let rooms = 0;
/** Runs `get` in a folder of its own, and tells whether anything is left there. */
async function get(words, more = {}) {
  const cwd = base.at(`room-${rooms++}`);
  mkdirSync(cwd);
  const ended = await peeredge(["get", ...words, "-q"], { cwd, ...more });
  return { ...ended, left: names(cwd), cwd };
}

function told(name, ended, { code, words, within, lost = null }) {
  attacked({
    room: "get",
    kind: "servers",
    name,
    spent: "one server",
    lost: lost ?? `${(ended.ms / 1000).toFixed(1)} s`,
    held: ended.code === code && words.test(ended.stderr) && ended.ms < within && ended.left.length === 0 && !/panicked/.test(ended.stderr),
  });
}

const unknown = "a".repeat(51) + "q";

test("nobody is there", async () => {
  const port = await freePort();
  told("a relay that is not there", await get([`http://127.0.0.1:${port}/c/${idOf(link)}`]), { code: 6, words: /cannot reach the relay.*refused/, within: 3000 });
});

test("an id that nobody has", async () => {
  told("an unknown id", await get([`${relay.url}/c/${unknown}`]), { code: 3, words: /does not have this content and knows nobody who does/, within: 3500 });
});

test("an id that nobody has, of peers only", async () => {
  told("an unknown id, without HTTP", await get([`${relay.url}/c/${unknown}`, "--no-http"]), { code: 3, words: /does not have this content and knows nobody who does/, within: 3500 });
});

test("a relay that asks for proofs without end, and reads none", async () => {
  const challenges = Buffer.concat(Array.from({ length: 100 }, (_, n) => Buffer.concat([Buffer.from([0x82, 65, 0x81]), noise(64, n + 1)])));
  const odd = await server((socket) => {
    socket.once("data", (bytes) => {
      const key = /sec-websocket-key: (\S+)/i.exec(String(bytes))?.[1];
      if (!key) return socket.end(answerOf("404 Not Found", {}));
      socket.pause();
      const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
      socket.write(`HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: ${accept}\r\n\r\n`);
      const flood = () => {
        while (!socket.destroyed && socket.write(challenges));
      };
      socket.on("drain", flood);
      flood();
    });
  });
  const ended = await get([`${odd.url}/c/${unknown}`]);
  await odd.close();
  told("challenges without end", ended, { code: 3, words: /does not have this content and knows nobody who does/, within: 10_000 });
});

test("a relay that takes connections and says nothing", async () => {
  const silent = await server(() => {});
  told("a silent relay", await get([`${silent.url}/c/${idOf(link)}`]), { code: 6, words: /hardly answers/, within: 6000 });
  await silent.close();
});

test("a relay that drips a byte a second", async () => {
  const drips = await server((socket) => {
    socket.write("HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n");
    const drip = setInterval(() => socket.write("x"), 500);
    socket.on("close", () => clearInterval(drip));
  });
  told("a relay that drips", await get([`${drips.url}/c/${idOf(link)}`]), { code: 6, words: /hardly answers/, within: 14_000 });
  await drips.close();
});

test("a relay whose manifest is another one", async () => {
  const lies = await httpServer(({ path }, socket) => socket.end(path.startsWith("/m/") ? answerOf("200 OK", {}, noise(200)) : answerOf("404 Not Found", {})));
  told("a manifest that contradicts the link", await get([`${lies.url}/c/${idOf(link)}`]), { code: 4, words: /contradicts the link/, within: 5000 });
  await lies.close();
});

test("a relay whose bytes are others", async () => {
  const real = async (path) => Buffer.from(await (await fetch(relay.url + path)).arrayBuffer());
  const manifest = await real(`/m/${idOf(link)}`);
  const records = await real(`/r/${idOf(link)}`);
  const lies = await httpServer(({ path, range }, socket) => {
    if (path.startsWith("/m/")) return socket.end(answerOf("200 OK", {}, manifest));
    if (!range) return socket.end(answerOf("404 Not Found", {}));
    const [first, last] = range;
    const body = path.startsWith("/r/") ? records.subarray(first, last + 1) : noise(last + 1 - first, 7);
    socket.end(answerOf("206 Partial Content", { "content-range": `bytes ${first}-${last}/*` }, body));
  });
  told("bytes that contradict the link", await get([`${lies.url}/c/${idOf(link)}`]), { code: 4, words: /contradicts the link/, within: 6000 });
  await lies.close();
});

test("a server that refuses", async () => {
  const refuses = await httpServer((_, socket) => socket.end(answerOf("403 Forbidden", {})));
  told("a relay that refuses", await get([`${refuses.url}/c/${idOf(link)}`]), { code: 7, words: /refused: it answers 403/, within: 3500 });
  told("a relay that refuses, without HTTP", await get([`${refuses.url}/c/${idOf(link)}`, "--no-http"]), { code: 7, words: /refused: it answers 403/, within: 3500 });
  await refuses.close();
});

test("a certificate that nobody vouches for", async () => {
  const pem = readFileSync(new URL("self-signed.pem", import.meta.url));
  const tls = createTlsServer({ key: pem, cert: pem }, (_, response) => response.end());
  await new Promise((resolve) => tls.listen(0, "127.0.0.1", resolve));
  for (const more of [[], ["--no-http"]]) {
    const ended = await get([`https://127.0.0.1:${tls.address().port}/c/${idOf(link)}`, ...more]);
    told(["an untrusted certificate", ...more].join(" "), ended, { code: 6, words: /certificate of https:.* is not trusted: it is self-signed/, within: 3500 });
  }
  tls.close();
});

test("a web server that is no relay, of peers only", async () => {
  const site = await httpServer((_, socket) => socket.end(answerOf("404 Not Found", {})));
  told("no relay, without HTTP", await get([`${site.url}/c/${idOf(link)}`, "--no-http"]), { code: 6, words: /is no relay: it answers 404/, within: 3500 });
  await site.close();
});

test("what is no relay: a redirect, TLS for plain, plain for TLS, noise", async () => {
  const moved = await httpServer((_, socket) => socket.end(answerOf("301 Moved", { location: "https://elsewhere.example/" })));
  const noisy = await server((socket) => socket.write(noise(4000)));
  const tls = createTlsServer({}, () => {});
  await new Promise((resolve) => tls.listen(0, "127.0.0.1", resolve));
  const id = idOf(link);
  const [redirected, garbled, plain, encrypted] = [
    await get([`${moved.url}/c/${id}`]),
    await get([`${noisy.url}/c/${id}`]),
    await get([`${relay.url.replace("http:", "https:")}/c/${id}`]),
    await get([`http://127.0.0.1:${tls.address().port}/c/${id}`]),
  ];
  tls.close();
  await moved.close();
  await noisy.close();
  const all = [redirected, garbled, plain, encrypted];
  attacked({
    room: "get",
    kind: "servers",
    name: "servers that are no relay",
    spent: "four servers",
    lost: all.map((ended) => `${(ended.ms / 1000).toFixed(1)} s`).join(", "),
    held: all.every((ended) => ended.code === 6 && ended.ms < 6000 && ended.left.length === 0 && !ended.stderr.includes("\u001b")) && /elsewhere.example/.test(redirected.stderr) && /http:\/\/ rather/.test(plain.stderr),
  });
});

test("links of other kinds", async () => {
  const all = [];
  for (const other of [`peeredge-live:${idOf(link)}/show`, "https://example.com/film.mp4", "ftp://x/y", "magnet:?xt=urn:btih:x", `peeredge:${idOf(link)}`, "peeredge:short", `http://u:p@127.0.0.1/c/${idOf(link)}`]) all.push(await get([other]));
  attacked({
    room: "get",
    kind: "servers",
    name: "links of other kinds",
    spent: `${all.length} links`,
    lost: "nothing",
    held: all.every((ended) => ended.code === 2 && ended.stderr.length > 20 && ended.ms < 2000 && ended.left.length === 0) && /live/.test(all[0].stderr),
  });
});

test("a server that ignores ranges sends the content about once", async () => {
  const real = async (path) => Buffer.from(await (await fetch(relay.url + path)).arrayBuffer());
  const [manifest, records] = [await real(`/m/${idOf(link)}`), await real(`/r/${idOf(link)}`)];
  let sent = 0;
  const whole = await httpServer(({ path }, socket) => {
    const body = path.startsWith("/m/") ? manifest : path.startsWith("/r/") ? records : FILM;
    const bytes = answerOf("200 OK", {}, body);
    let at = 0;
    const more = () => {
      while (at < bytes.length && !socket.destroyed) {
        const piece = bytes.subarray(at, at + 65_536);
        at += piece.length;
        if (path.startsWith("/c/")) sent += piece.length;
        if (!socket.write(piece)) return socket.once("drain", more);
      }
      socket.end();
    };
    more();
  });
  const got = await get([`${whole.url}/c/${idOf(link)}`, "-o", "film.bin"]);
  const arrived = got.code === 0 && same(readFileSync(join(got.cwd, "film.bin")), FILM);
  await whole.close();
  attacked({
    room: "get",
    kind: "servers",
    name: "a server that ignores ranges",
    spent: `${sent} bytes for ${FILM.length}`,
    lost: `${(got.ms / 1000).toFixed(1)} s`,
    held: arrived && sent < FILM.length * 3,
  });
});

test("ctrl-C and kill: what had arrived is gone on with, what had not leaves nothing", async () => {
  const slow = await Relay.start({ dataDir: base.at("slow"), settings: { stun: false, upload_bytes_per_s_max: 2_000_000 } });
  const large = noise(12_000_000, 9);
  const its = slow.url + pathOf(await publish(base.at("slow"), "large.bin", large));
  const cwd = base.at("resume");
  mkdirSync(cwd);
  const words = ["get", its, "-q", "--no-http", "-o", "large.bin"];
  const stopped = await peeredge(words, { cwd, signalAfter: { ms: 3500, signal: "SIGINT" } });
  const kept = names(cwd);
  const whole = await peeredge(words, { cwd });
  await slow.stop();
  const early = await get([`${relay.url}/c/${unknown}`], { signalAfter: { ms: 700, signal: "SIGINT" } });
  attacked({
    room: "get",
    kind: "servers",
    name: "stopped in the middle, and before anything came",
    spent: "two signals",
    lost: "nothing",
    held:
      stopped.code === 130 &&
      /goes on where it stopped/.test(stopped.stderr) &&
      kept.join() === "large.bin.peeredge-part" &&
      whole.code === 0 &&
      same(readFileSync(join(cwd, "large.bin")), large) &&
      names(cwd).join() === "large.bin" &&
      early.code === 130 &&
      early.left.length === 0,
  });
});

test("a name that is no file's keeps its bytes when the relay goes away meanwhile", async () => {
  const cwd = base.at("old");
  mkdirSync(cwd);
  writeFileSync(join(cwd, "film.bin"), "the old one");
  const port = await freePort();
  const ended = await peeredge(["get", `http://127.0.0.1:${port}/c/${idOf(link)}`, "-q", "-o", "film.bin"], { cwd });
  attacked({
    room: "get",
    kind: "data",
    name: "an existing output and a relay that is not there",
    spent: "nothing",
    lost: "nothing",
    held: ended.code === 6 && readFileSync(join(cwd, "film.bin"), "utf8") === "the old one" && names(cwd).join() === "film.bin",
  });
});

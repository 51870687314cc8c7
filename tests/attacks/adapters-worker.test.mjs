// The service worker between a page, its peer and a site's server that misbehaves; pages, publishers and readers that do.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { Stage, packedPackage } from "../browser/harness.mjs";
import { eventually } from "../browser/flows/flow.mjs";
import { noisePng } from "../browser/media-site.mjs";
import { randomBytes } from "../browser/random.mjs";
import { attacked } from "./attack.mjs";
import { HOW, OddSite, first, holder } from "./odd-site.mjs";

const MIB = 1 << 20;
const BIN = Buffer.from(randomBytes(5, 4 * MIB));
const BIG = Buffer.from(randomBytes(6, 24 * MIB));
const PAGE = `<!doctype html><meta charset="utf-8" /><link rel="icon" href="data:," /><title>shop</title><body>
<script type="module">
  import { createPeer } from "/peeredge/dist/index.js";
  import { serveThroughPeer } from "/peeredge/dist/sw/register.js";
  window.route = async (peerOptions, options) => {
    window.peer = await createPeer(peerOptions);
    window.routing = await serveThroughPeer(peer, options);
  };
  const settings = JSON.parse(sessionStorage.getItem("settings"));
  if (settings) window.routed = window.route(...settings);
</script>`;
/** What is published as something that a browser would run, if it had it from the site. */
const ACTIVE = {
  "/evil.js": "window.ran = true",
  "/evil.css": "body { --ran: 1 }",
  "/evil.html": "<script>parent.ran = true</script>",
  "/evil.svg": `<svg xmlns="http://www.w3.org/2000/svg"><script>parent.ran = true</script></svg>`,
  "/evil-picture.svg": `<svg xmlns="http://www.w3.org/2000/svg"><script>parent.ran = true</script></svg> `,
  "/evil-object.html": "<script>parent.ran = true</script> ",
  "/evil-worker.js": "postMessage(1)",
  "/evil-shared-worker.js": "postMessage(1) ",
  "/evil.webmanifest": "{}",
};
const PASSIVE = { "/data.bin": BIN, "/big.bin": BIG, "/noise.png": noisePng(3, 400) };

let stage, source, elsewhere, site, page, context;
beforeAll(async () => {
  stage = await Stage.open();
  source = await holder(stage, { ...ACTIVE, ...PASSIVE });
  elsewhere = await OddSite.start(PASSIVE);
});
afterAll(async () => {
  await stage?.close();
  await elsewhere?.stop();
});

const script = () => readFileSync(join(packedPackage(), "dist/sw/worker.js"));
beforeEach(async () => {
  // What the site itself has under these addresses is harmless.
  const own = Object.fromEntries(Object.keys(ACTIVE).map((path) => [path, path.endsWith("worker.js") ? "postMessage(0)" : path.endsWith(".svg") ? `<svg xmlns="http://www.w3.org/2000/svg"/>` : " "]));
  site = await OddSite.start({ "/shop.html": PAGE, "/blank.html": "<!doctype html>", "/peeredge-sw.js": script(), ...own, ...PASSIVE }, { elsewhere: elsewhere.url });
  context = await stage.browser.newContext({ permissions: ["microphone"] });
  page = await open();
});
afterEach(async () => {
  await context.close();
  await site.stop();
});

/** Opens the shop, controlled and with the routes. */
async function open({ peer = {}, routing = {} } = {}) {
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  await page.goto(`${site.url}/shop.html`);
  const settings = [
    { relay: stage.relay.url, consent: "granted", tuning: { http: false }, ...peer },
    // Patient: nothing falls back here unless it must.
    { routes: source.links, takeMs: 20_000, stallMs: 20_000, ...routing },
  ];
  await page.evaluate((settings) => sessionStorage.setItem("settings", JSON.stringify(settings)), settings);
  await page.reload();
  await page.evaluate(() => window.routed);
  site.forget();
  return page;
}

const counts = (of = page) => of.evaluate(() => ({ ...window.routing.counts }));
/** Fetches in the page; gives status, type, and whether the bytes are those of the file from `start` on. */
async function fetched(path, file, { start = 0, end = file.length, ...init } = {}, of = page) {
  const [status, type, base64, error] = await of.evaluate(
    async ([path, init]) => {
      try {
        const response = await fetch(path, init);
        const blob = await response.blob();
        const url = await new Promise((resolve) => {
          const reader = new FileReader();
          reader.onload = () => resolve(reader.result);
          reader.readAsDataURL(blob);
        });
        return [response.status, response.headers.get("content-type"), url.slice(url.indexOf(",") + 1), null];
      } catch (error) {
        return [0, null, "", String(error)];
      }
    },
    [path, init],
  );
  return { status, type, error, isRight: Buffer.from(base64, "base64").equals(file.subarray(start, end)) };
}
/** Reads until `bytes` have come, then does something in the page, then reads the rest; gives it as {@link fetched} does. */
async function interrupted(path, file, then, bytes = 300_000) {
  return page.evaluate(
    async ([path, then, bytes, length]) => {
      const response = await fetch(path);
      const reader = response.body.getReader();
      const parts = [];
      let got = 0;
      const take = async () => {
        const { done, value } = await reader.read();
        if (done) return false;
        parts.push(value);
        got += value.length;
        return true;
      };
      try {
        while (got < bytes && (await take()));
        await (0, eval)(`(${then})`)();
        while (await take());
      } catch (error) {
        return { got, error: String(error) };
      }
      const bytesOf = new Uint8Array(await new Blob(parts).arrayBuffer());
      const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytesOf));
      return { got, whole: got === length, digest: Array.from(digest) };
    },
    [path, String(then), bytes, file.length],
  );
}
const digestOf = async (file) => Array.from(new Uint8Array(await crypto.subtle.digest("SHA-256", file)));

const closePeer = () => window.peer.close();

/** How a page would run it. */
const USES = [
  ["script", "/evil.js", (path) => void document.body.append(Object.assign(document.createElement("script"), { src: path }))],
  ["style", "/evil.css", (path) => void document.body.append(Object.assign(document.createElement("link"), { rel: "stylesheet", href: path }))],
  ["worker", "/evil-worker.js", (path) => void new Worker(path)],
  ["shared worker", "/evil-shared-worker.js", (path) => void new SharedWorker(path)],
  ["frame", "/evil.html", (path) => void document.body.append(Object.assign(document.createElement("iframe"), { src: path }))],
  ["object", "/evil-object.html", (path) => void document.body.append(Object.assign(document.createElement("object"), { data: path, type: "text/html" }))],
  ["embedded document", "/evil.svg", (path) => void document.body.append(Object.assign(document.createElement("embed"), { src: path }))],
  ["picture that is a document", "/evil-picture.svg", (path) => void document.body.append(Object.assign(document.createElement("img"), { src: path }))],
  ["manifest", "/evil.webmanifest", (path) => void document.head.append(Object.assign(document.createElement("link"), { rel: "manifest", href: path }))],
];
test("what runs comes from the site's server", async () => {
  for (const [what, path, use] of USES) {
    site.forget();
    await page.evaluate(([use, path]) => (0, eval)(`(${use})`)(path), [String(use), path]);
    // A browser without windows looks for no manifest.
    if (what === "manifest") await page.waitForTimeout(100);
    else await eventually(async () => site.askedFor(path) > 0, `the server is asked for a ${what}`);
    const ran = await page.evaluate(() => window.ran === true || getComputedStyle(document.body).getPropertyValue("--ran") !== "");
    const { answered } = await counts();
    attacked({ room: "adapters", kind: "page", name: `a publisher's bytes as a ${what}`, spent: "1 published file", lost: ran ? "the page" : "nothing", held: !ran && answered === 0 });
  }
});

test("what is fetched has no type that runs", async () => {
  for (const path of ["/evil.html", "/evil.js", "/evil.svg", "/evil.css"]) {
    const { status, type, isRight } = await fetched(path, Buffer.from(ACTIVE[path]));
    attacked({ room: "adapters", kind: "page", name: `the type of ${path} by fetch`, spent: "1 published file", lost: type, held: status === 200 && isRight && type === "application/octet-stream" });
  }
});

test("a part is never joined with one of another version of the file", async () => {
  site.headers["/data.bin"] = { etag: '"old"' };
  const content = /\/c\/([^/]+)/.exec(source.links["/data.bin"])[1];
  const range = `bytes=1000000-1999999`;
  const other = await fetched("/data.bin", BIN, { start: 1e6, end: 2e6, headers: { range, "if-range": '"old"' } });
  const askedOfOther = site.askedFor("/data.bin");
  const own = await fetched("/data.bin", BIN, { start: 1e6, end: 2e6, headers: { range, "if-range": `"${content}"` } });
  const held = other.status === 206 && askedOfOther === 1 && own.status === 206 && own.isRight && site.askedFor("/data.bin") === 1;
  attacked({ room: "adapters", kind: "servers", name: "If-Range of another version", spent: "1 request", lost: held ? "nothing" : "two files joined", held });
});

const RANGES = [
  ["bytes=-0", 416],
  ["bytes=0-0,5-9", 200],
  [`bytes=${BIN.length}-`, 416],
  [`bytes=${BIN.length - 5}-${10 * BIN.length}`, 206],
  ["bytes=9-5", 200],
  ["bytes=99999999999999999999-", 200],
  ["items=0-5", 200],
];
test("odd ranges are answered as a server would", async () => {
  for (const [range, expected] of RANGES) {
    const start = expected === 206 ? BIN.length - 5 : 0;
    const { status, isRight } = await fetched("/data.bin", BIN, { start, end: expected === 416 ? start : BIN.length, headers: { range } });
    attacked({ room: "adapters", kind: "readers", name: `the range ${range}`, spent: "1 request", lost: "nothing", held: status === expected && isRight });
  }
});

/** Bytes that the page has given, once they grow no more. */
async function atRest() {
  for (let before = -1; ; ) {
    const { bytes } = await counts();
    if (bytes === before) return bytes;
    before = bytes;
    await page.waitForTimeout(1000);
  }
}

test("a reader who takes a chunk and stops holds no more than a few MiB, and a cancelled one nothing", async () => {
  await page.evaluate(async () => {
    const response = await fetch("/big.bin");
    window.reader = response.body.getReader();
    window.taken = (await window.reader.read()).value.length;
  });
  const bytes = await atRest();
  await page.evaluate(() => window.reader.cancel());
  await eventually(() => page.evaluate(async () => (await window.peer.stats()).contents.every(({ requests }) => requests === 0)), "the peer hears of the cancel");
  const held = bytes <= 4 * MIB;
  attacked({ room: "adapters", kind: "readers", name: "a reader of the service worker who stops", spent: "1 request of 24 MiB", lost: `${(bytes / MIB).toFixed(1)} MiB on the way`, held });
});

test("a hundred readers who stop cost a bounded number of answers", async () => {
  const refused = await page.evaluate(async () => {
    window.readers = await Promise.all(
      Array.from({ length: 100 }, async (_, n) => {
        const reader = (await fetch(`/big.bin`, { headers: { range: `bytes=${n * 1000}-` } })).body.getReader();
        await reader.read();
        return reader;
      }),
    );
    return window.routing.counts.refused;
  });
  const bytes = await atRest();
  const { answered } = await counts();
  attacked({ room: "adapters", kind: "readers", name: "a hundred readers of the service worker who stop", spent: "100 requests of 24 MiB", lost: `${(bytes / MIB).toFixed(0)} MiB on the way`, held: answered <= 64 && refused >= 36 && bytes <= 64 * 4 * MIB });
  await page.evaluate(() => window.readers.map((reader) => reader.cancel()));
});

test("many requests at once all get their bytes", async () => {
  const right = await page.evaluate(async () => {
    const all = await Promise.all(Array.from({ length: 200 }, (_, n) => fetch("/data.bin", { headers: { range: `bytes=${n * 10}-${n * 10 + 9}` } }).then((r) => r.arrayBuffer())));
    return all.map((buffer) => Array.from(new Uint8Array(buffer)));
  });
  const held = right.every((bytes, n) => Buffer.from(bytes).equals(BIN.subarray(n * 10, n * 10 + 10)));
  attacked({ room: "adapters", kind: "bursts", name: "200 requests of the service worker at once", spent: "200 requests", lost: held ? "nothing" : "bytes", held });
});

/** How the site's server answers for the rest after the peer has closed in the middle. */
const GOES_ON = [
  ["well", () => HOW.well],
  ["with 503 once", () => first(1, HOW.busy)],
  ["compressed, and whole", () => HOW.gzip],
  ["whole, as it knows no ranges", () => HOW.noRanges],
  ["with a redirect to another origin", () => HOW.redirects],
  ["with an odd Content-Range", () => HOW.oddRange],
  ["and closes early each time", () => HOW.closesEarly],
  ["with silence first", () => first(1, HOW.silent), { stallMs: 500 }],
];
test.each(GOES_ON)("the rest of a body comes from a server that answers %s", async (name, how, routing = {}) => {
  page = await open({ routing });
  site.how["/data.bin"] = how();
  const result = await interrupted("/data.bin", BIN, closePeer);
  const held = result.whole === true && String(result.digest) === String(await digestOf(BIN));
  attacked({ room: "adapters", kind: "servers", name: `the rest from a server that answers ${name}`, spent: `${site.askedFor("/data.bin")} answers`, lost: held ? "nothing" : (result.error ?? "bytes"), held });
  expect(site.askedFor("/data.bin")).toBeGreaterThan(0);
});

test.each([
  ["of the same length", HOW.otherFile],
  ["and says the part was another", HOW.wrongPart],
])("another file %s is not joined", async (name, how) => {
  site.how["/data.bin"] = how;
  const result = await interrupted("/data.bin", BIN, closePeer);
  const held = result.error !== undefined && result.got < BIN.length;
  attacked({ room: "adapters", kind: "servers", name: `the rest of another file ${name}`, spent: "1 answer", lost: held ? "the rest" : "two files joined", held });
});

test("one slow holder: the site's server is asked for what lags, and every byte is verified or the server's", async () => {
  const slow = await holder(stage, { "/slow.bin": BIN.subarray(0, MIB) }, 60_000);
  site.files["/slow.bin"] = BIN.subarray(0, MIB);
  page = await open({ routing: { routes: slow.links, stallMs: 1500 } });
  const began = performance.now();
  const { isRight } = await fetched("/slow.bin", BIN.subarray(0, MIB));
  const ms = performance.now() - began;
  attacked({ room: "adapters", kind: "servers", name: "one holder with 60 kB/s behind the service worker", spent: "1 tab", lost: `${(ms / 1000).toFixed(1)} s for 1 MiB`, held: isRight && site.askedFor("/slow.bin") > 0 });
  await slow.tab.close();
});

test("one slow holder, and a server that the engine cannot ask: the network takes over in the middle", async () => {
  const slow = await holder(stage, { "/slow.bin": BIN.subarray(0, MIB) }, 60_000);
  site.files["/slow.bin"] = BIN.subarray(0, MIB);
  // Only with the visitor's cookie.
  site.how["/slow.bin"] = (all) => (all.request.headers.cookie?.includes("visitor=1") ? HOW.well(all) : all.response.writeHead(403).end());
  page = await open({ routing: { routes: slow.links, stallMs: 1500 } });
  await page.evaluate(() => void (document.cookie = "visitor=1"));
  const { isRight } = await fetched("/slow.bin", BIN.subarray(0, MIB));
  attacked({ room: "adapters", kind: "servers", name: "one holder with 60 kB/s, and a server behind a login", spent: "1 tab", lost: isRight ? "nothing" : "bytes", held: isRight && site.sentOf("/slow.bin") > MIB / 4 });
  await slow.tab.close();
});

test("a page that is closed in the middle is followed by the network", async () => {
  // The second page has no peer of its own: the first one's answers it.
  const other = await context.newPage();
  await other.goto(`${site.url}/blank.html`);
  await other.evaluate(async () => {
    window.reader = (await fetch("/big.bin")).body.getReader();
    window.got = (await window.reader.read()).value.length;
  });
  const { answered } = await counts();
  await page.close();
  const got = await other.evaluate(async () => {
    for (let part; !(part = await window.reader.read()).done; ) window.got += part.value.length;
    return window.got;
  });
  attacked({ room: "adapters", kind: "lifecycle", name: "the page whose peer answers is closed in the middle", spent: "1 tab", lost: got === BIG.length ? "nothing" : "the rest", held: got === BIG.length && answered === 1 });
});

test("a worker that is replaced still has its open pages", async () => {
  site.files["/peeredge-sw.js"] = `${script()}\nself.addEventListener("install", () => self.skipWaiting());`;
  await page.evaluate(async () => {
    const changed = new Promise((resolve) => navigator.serviceWorker.addEventListener("controllerchange", resolve, { once: true }));
    await window.routing.registration.update();
    await changed;
  });
  site.forget();
  const { isRight } = await fetched("/noise.png", PASSIVE["/noise.png"]);
  const { answered } = await counts();
  attacked({ room: "adapters", kind: "lifecycle", name: "the worker's script is updated under an open page", spent: "1 release", lost: answered ? "nothing" : "peer-to-peer", held: isRight && answered === 1 });
});

test("a page whose thread was busy, or that was put aside, answers again", async () => {
  page = await open({ routing: { takeMs: 300, stallMs: 20_000 } });
  const fetchPicture = () => fetched("/noise.png", PASSIVE["/noise.png"]);
  const answers = async () => (await counts()).answered;
  /** The first requests may come late, too, where the machine is busy. */
  const again = async (what) => {
    const before = await answers();
    await eventually(async () => (await fetchPicture()).isRight && (await answers()) > before, what);
  };
  await again("the page answers");
  const busy = await page.evaluate(async () => {
    const asked = fetch("/noise.png");
    // The request leaves, and nothing else is done here for longer than the worker waits.
    await new Promise((resolve) => setTimeout(resolve, 0));
    for (const until = performance.now() + 2000; performance.now() < until; );
    return (await asked).status;
  });
  await again("the page answers after it was busy");
  // As a page that the browser has shown again, after the worker took it for gone.
  await page.evaluate(() => navigator.serviceWorker.controller.postMessage({ peeredge: "gone" }));
  const gone = await answers();
  await fetchPicture();
  const whileGone = (await answers()) - gone;
  await page.evaluate(() => void dispatchEvent(new PageTransitionEvent("pageshow", { persisted: true })));
  await again("the page answers after it was shown again");
  attacked({ room: "adapters", kind: "lifecycle", name: "a page that is busy for 2 s, or was put aside", spent: "1 long task", lost: "one request to the network", held: busy === 200 && whileGone === 0 });
});

test("a worker that the browser has ended finds its pages again", async () => {
  const session = await stage.browser.newBrowserCDPSession();
  const { targetInfos } = await session.send("Target.getTargets");
  for (const { targetId, type } of targetInfos) if (type === "service_worker") await session.send("Target.closeTarget", { targetId }).catch(() => undefined);
  const { isRight } = await fetched("/noise.png", PASSIVE["/noise.png"]);
  const { answered } = await counts();
  attacked({ room: "adapters", kind: "lifecycle", name: "the browser ends the worker between two requests", spent: "nothing", lost: answered ? "nothing" : "peer-to-peer", held: isRight && answered === 1 });
});

test("only pages of its scope tell the worker routes, and only such as are routes", async () => {
  // The site's other half, with a worker of its own that has nothing to do with it.
  site.files["/half/peeredge-sw.js"] = script();
  site.files["/half/data.bin"] = "the server's";
  const say = (message) =>
    page.evaluate(async (message) => {
      const registration = await navigator.serviceWorker.register("/half/peeredge-sw.js", { scope: "/half/" });
      const worker = registration.active ?? registration.waiting ?? registration.installing;
      await new Promise((resolve) => (worker.state === "activated" ? resolve() : worker.addEventListener("statechange", () => worker.state === "activated" && resolve())));
      const { port1, port2 } = new MessageChannel();
      const answer = new Promise((resolve) => {
        port1.onmessage = ({ data }) => resolve(data);
        setTimeout(resolve, 500, null);
      });
      worker.postMessage(message, [port2]);
      return answer;
    }, message);
  const patience = { takeMs: 300, stallMs: 1500 };
  const routes = { [`${site.url}/half/data.bin`]: source.links["/data.bin"] };
  const outside = await say({ peeredge: "routes", version: 2, routes, patience });
  attacked({ room: "adapters", kind: "unasked", name: "routes from a page outside the worker's scope", spent: "1 message", lost: "nothing", held: outside === null });
  const own = (message) =>
    page.evaluate(async (message) => {
      const { port1, port2 } = new MessageChannel();
      const answer = new Promise((resolve) => (port1.onmessage = ({ data }) => resolve(data)));
      navigator.serviceWorker.controller.postMessage(message, [port2]);
      return answer;
    }, message);
  for (const [name, message] of Object.entries({
    "routes of a later version": { peeredge: "routes", version: 3, routes: {}, patience },
    "routes that are no links": { peeredge: "routes", version: 2, routes: { [`${site.url}/a`]: "javascript:1" }, patience },
    "more routes than there are pages in the world": { peeredge: "routes", version: 2, routes: Object.fromEntries(Array.from({ length: 30_000 }, (_, n) => [`${site.url}/${n}`, source.links["/data.bin"]])), patience },
    "a patience without end": { peeredge: "routes", version: 2, routes: {}, patience: { takeMs: 1e12, stallMs: 1e12 } },
  })) {
    const answer = await own(message);
    attacked({ room: "adapters", kind: "unasked", name, spent: "1 message", lost: "nothing", held: answer?.type === "unsupported" });
  }
  // Still what it was.
  expect((await fetched("/noise.png", PASSIVE["/noise.png"])).isRight).toBe(true);
  expect((await counts()).answered).toBe(1);
  // And a page of the version before is understood.
  expect(await own({ peeredge: "routes", routes: Object.fromEntries(Object.entries(source.links).map(([path, link]) => [`${site.url}${path}`, link])), patience })).toMatchObject({ type: "ready" });
});

// A page's own pictures, films and fetches go through peers without a change of the page, and through the network in every error.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { sample } from "../../scripts/lib/sample.mjs";
import { eventually } from "./flows/flow.mjs";
import { Stage, packedPackage, temporaryFolder } from "./harness.mjs";
import { MediaSite, noisePng } from "./media-site.mjs";
import { randomBytes } from "./random.mjs";

const SIDE = 400;
const BIN_BYTES = 4 << 20;
const PAGE = `<!doctype html><meta charset="utf-8" /><link rel="icon" href="data:," /><title>shop</title>
<img id="picture" src="/media/noise.png" /><video id="film" muted preload="auto" src="/media/film.mp4"></video>
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

let stage, files, site, page, context, links;
beforeAll(async () => {
  const film = readFileSync(await sample());
  files = { "noise.png": noisePng(3, SIDE), "film.mp4": film, "data.bin": Buffer.from(randomBytes(4, BIN_BYTES)) };
  const folder = temporaryFolder("media");
  const publish = Object.entries(files).map(([name, bytes]) => {
    writeFileSync(join(folder, name), bytes);
    return join(folder, name);
  });
  stage = await Stage.open({ relay: { publish } });
  const contents = async () => (await fetch(`${stage.relay.url}/api/contents`)).json();
  await eventually(async () => (await contents()).length === publish.length, "the relay publishes its files");
  links = Object.fromEntries((await contents()).map(({ name, link }) => [`/media/${name}`, link]));
});
afterAll(() => stage?.close());

beforeEach(async () => {
  const media = Object.fromEntries(Object.entries(files).map(([name, bytes]) => [`/media/${name}`, bytes]));
  const worker = readFileSync(join(packedPackage(), "dist/sw/worker.js"));
  site = await MediaSite.start({ "/shop.html": PAGE, "/blank.html": "<!doctype html>", "/peeredge-sw.js": worker, "/media/other.bin": "other", ...media });
  context = await stage.browser.newContext();
  page = await context.newPage();
  page.setDefaultTimeout(60_000);
});
afterEach(async () => {
  await context.close();
  await site.stop();
});

/** Opens the page; from its second load on it is controlled from the start. The network's answers until then are forgotten. */
async function open({ peer = {}, routing = {}, reload = true } = {}) {
  await page.goto(`${site.url}/shop.html`);
  const settings = [
    { relay: stage.relay.url, consent: "granted", ...peer },
    { routes: links, takeMs: 30_000, stallMs: 30_000, ...routing },
  ];
  await page.evaluate((settings) => sessionStorage.setItem("settings", JSON.stringify(settings)), settings);
  await page.reload();
  await page.evaluate(() => window.routed);
  if (reload) {
    // What the film of the page before still asks of the server is over first.
    await page.goto(`${site.url}/blank.html`);
    await page.waitForLoadState("networkidle");
  }
  site.asked.length = 0;
  if (!reload) return;
  await page.goto(`${site.url}/shop.html`);
  await page.evaluate(() => window.routed);
}

/** Fetches in the page; gives the status and whether the bytes are those of the file, or of its part. */
async function fetched(path, init = {}) {
  const [status, base64] = await page.evaluate(
    async ([path, init]) => {
      const response = await fetch(path, init);
      const bytes = new Uint8Array(await response.arrayBuffer());
      return [response.status, btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""))];
    },
    [path, init],
  );
  return { status, bytes: Buffer.from(base64, "base64") };
}

const counts = () => page.evaluate(() => ({ ...window.routing.counts }));
const asked = (name) => site.askedFor(`/media/${name}`);

test("a picture, a film with seeking, and a fetch come from peers, and the server is not asked", async () => {
  await open();
  const width = () => page.evaluate(() => document.querySelector("#picture").naturalWidth);
  await eventually(async () => (await width()) === SIDE, "the picture is shown");

  const film = () => page.evaluate(() => ((film) => ({ at: film.currentTime, seconds: film.duration, error: film.error?.message }))(document.querySelector("#film")));
  await page.evaluate(() => document.querySelector("#film").play());
  await eventually(async () => (await film()).at > 0.5, "the film plays");
  const { seconds } = await film();
  await page.evaluate((at) => void (document.querySelector("#film").currentTime = at), seconds - 5);
  await eventually(async () => (await film()).at > seconds - 4.5, "the film plays on at its end");
  await page.evaluate(() => void (document.querySelector("#film").currentTime = 2));
  await eventually(async () => ((at) => at > 2.2 && at < 20)((await film()).at), "the film plays at its beginning again");
  expect((await film()).error).toBeUndefined();

  const whole = await fetched("/media/data.bin");
  expect(whole.status).toBe(200);
  expect(whole.bytes.equals(files["data.bin"])).toBe(true);
  const part = await fetched("/media/data.bin#a", { headers: { range: "bytes=1000-70000" } });
  expect(part.status).toBe(206);
  expect(part.bytes.equals(files["data.bin"].subarray(1000, 70_001))).toBe(true);
  expect((await fetched("/media/data.bin", { headers: { range: `bytes=${BIN_BYTES}-` } })).status).toBe(416);

  for (const name of ["noise.png", "film.mp4", "data.bin"]) expect(asked(name), name).toBe(0);
  expect(await counts()).toMatchObject({ refused: 0, failed: 0 });
});

test("what is not listed, or is asked of the network by name, comes from there", async () => {
  await open();
  expect((await fetched("/media/other.bin")).bytes.toString()).toBe("other");
  expect((await fetched("/media/data.bin", { cache: "no-store" })).bytes.equals(files["data.bin"])).toBe(true);
  expect([asked("other.bin"), asked("data.bin")]).toEqual([1, 1]);
});

test("without consent, with a closed peer, and after a stop the network answers", async () => {
  await open({ peer: { consent: "denied" } });
  expect((await fetched("/media/data.bin")).bytes.equals(files["data.bin"])).toBe(true);
  expect(asked("data.bin")).toBe(1);
  await page.evaluate(() => window.peer.setConsent("granted"));
  expect((await fetched("/media/data.bin")).bytes.equals(files["data.bin"])).toBe(true);
  expect(asked("data.bin")).toBe(1);
  await page.evaluate(() => window.peer.close());
  expect((await fetched("/media/data.bin")).bytes.equals(files["data.bin"])).toBe(true);
  expect(asked("data.bin")).toBe(2);
  await page.evaluate(() => window.routing.stop());
  expect((await fetched("/media/data.bin")).bytes.equals(files["data.bin"])).toBe(true);
  expect(asked("data.bin")).toBe(3);
});

test("a page without a peer's script is asked once, then the network answers", async () => {
  await open({ routing: { takeMs: 200 } });
  await page.goto(`${site.url}/blank.html`);
  expect((await fetched("/media/data.bin")).bytes.equals(files["data.bin"])).toBe(true);
  expect((await fetched("/media/data.bin", { headers: { range: "bytes=5-9" } })).bytes.equals(files["data.bin"].subarray(5, 10))).toBe(true);
  expect(asked("data.bin")).toBe(2);
});

test("a peer that closes in the middle of a body is followed by the network, and no byte is wrong", async () => {
  await open({ peer: { tuning: { http: false } } });
  const same = await page.evaluate(async () => {
    const response = await fetch("/media/data.bin", { headers: { range: "bytes=100000-" } });
    const reader = response.body.getReader();
    const parts = [(await reader.read()).value];
    await window.peer.close();
    for (let part; !(part = await reader.read()).done; ) parts.push(part.value);
    const bytes = new Uint8Array(await new Blob(parts).arrayBuffer());
    const right = new Uint8Array(await (await fetch("/media/data.bin", { cache: "no-store" })).arrayBuffer()).subarray(100_000);
    return bytes.length === right.length && bytes.every((byte, at) => byte === right[at]);
  });
  expect(same).toBe(true);
  expect((await counts()).failed).toBeGreaterThan(0);
  // One for the rest, one for the comparison.
  expect(asked("data.bin")).toBe(2);
  expect(Number(/^bytes=(\d+)-/.exec(site.asked.find(({ path }) => path === "/media/data.bin").range)[1])).toBeGreaterThan(100_000);
});

test("when the relay is dead the network answers", async () => {
  await open({ routing: { stallMs: 2000 } });
  await page.evaluate(() => window.peer.addEventListener("relay", ({ detail }) => void (window.lost ||= detail.state === "lost")));
  await stage.relay.kill();
  await page.waitForFunction(() => window.lost);
  expect((await fetched("/media/data.bin")).bytes.equals(files["data.bin"])).toBe(true);
  expect(asked("data.bin")).toBe(1);
  // And with a peer that never found its relay, as soon as the patience is over.
  await open({ routing: { stallMs: 300 } });
  expect((await fetched("/media/data.bin")).bytes.equals(files["data.bin"])).toBe(true);
  expect(asked("data.bin")).toBe(1);
});

// The demo as `npm start` serves it: built from the packed package, under the relay's content security policy.
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32, deflateSync } from "node:zlib";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { ROOT } from "../../scripts/lib/run.mjs";
import { demo } from "../../scripts/lib/steps.mjs";
import { launchChromium } from "../../tests/browser/harness.mjs";
import { Relay } from "../../tests/browser/relay.mjs";

const DESKTOP = { viewport: { width: 1280, height: 800 } };
const PHONE = { viewport: { width: 360, height: 740 }, colorScheme: "dark" };
/** Media that any browser shows. */
const PICTURE = png(64);
/** A document that may hold scripts, so that a page gets it as mere bytes. */
const DRAWING = join(ROOT, "demo-web/public/favicon.svg");

let folder;
let relay;
let browser;
const contexts = [];

beforeAll(async () => {
  await demo();
  folder = mkdtempSync(join(tmpdir(), "peeredge-demo-"));
  writeFileSync(join(folder, "square.png"), PICTURE);
  const publish = [join(folder, "square.png"), DRAWING];
  relay = await Relay.start({ settings: { demo_dir: join(ROOT, "demo-web/dist") }, publish });
  browser = await launchChromium();
});
afterEach(async () => {
  for (const context of contexts.splice(0)) await context.close();
});
afterAll(async () => {
  await browser?.close();
  await relay?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** A square of `side` pixels in one shade of grey. */
function png(side) {
  const chunk = (type, data) => {
    const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
    const [length, check] = [Buffer.alloc(4), Buffer.alloc(4)];
    length.writeUInt32BE(data.length);
    check.writeUInt32BE(crc32(body));
    return Buffer.concat([length, body, check]);
  };
  const header = Buffer.from([0, 0, 0, side, 0, 0, 0, side, 8, 0, 0, 0, 0]);
  const rows = Buffer.alloc(side * (side + 1), 0x80).map((byte, at) => (at % (side + 1) === 0 ? 0 : byte));
  const chunks = [chunk("IHDR", header), chunk("IDAT", deflateSync(rows)), chunk("IEND", Buffer.alloc(0))];
  return Buffer.concat([Buffer.from("89504e470d0a1a0a", "hex"), ...chunks]);
}

/** A visitor of their own; `complaints` is what the page logged as an error, a refusal of the policy for instance. */
async function visit(options, path = "/", context = null) {
  if (!context) contexts.push((context = await browser.newContext({ permissions: ["microphone"], ...options })));
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  const complaints = [];
  const sockets = [];
  page.on("console", (line) => line.type() === "error" && complaints.push(line.text()));
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("websocket", (socket) => sockets.push(socket.url()));
  await page.goto(new URL(path, relay.url).href);
  return { page, context, complaints, sockets };
}

const agree = ({ page }) => page.getByRole("button", { name: "Share and connect" }).click();
const heading = ({ page }, text) => page.getByRole("heading", { name: text, exact: true }).waitFor();

async function drop({ page }, name, mimeType, buffer) {
  await page.locator("#file").setInputFiles({ name, mimeType, buffer });
  await heading({ page }, "Shared from this tab");
  return page.locator("#share-link").inputValue();
}

/** What the visitor would save. */
async function saved({ page }) {
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "Save" }).click()]);
  return { name: download.suggestedFilename(), bytes: readFileSync(await download.path()) };
}

const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");
const sideways = ({ page }) => page.evaluate(() => document.documentElement.scrollWidth - innerWidth);

test("nothing connects before the visitor agrees, nor after a refusal", async () => {
  const visitor = await visit(DESKTOP);
  await visitor.page.getByRole("button", { name: "No, thanks" }).click();
  await visitor.page.getByText("Nothing is connected, and nothing is shared").waitFor();
  expect(visitor.sockets).toEqual([]);
  expect(visitor.page.workers()).toEqual([]);
  await agree(visitor);
  await visitor.page.getByText("Relay connected").waitFor();
  expect(visitor.sockets).toHaveLength(1);
  expect(visitor.page.workers()).toHaveLength(1);
  expect(visitor.complaints).toEqual([]);
});

test("a file dropped in one tab arrives in a dark phone, from the tab, whole", async () => {
  const file = Buffer.from(Array.from({ length: 1 << 19 }, (_, at) => Math.imul(at + 1, 0x9e3779b1)).flatMap((x) => [x >>> 24, x >>> 16, x >>> 8, x].map((byte) => byte & 255)));
  const sharer = await visit(DESKTOP);
  await agree(sharer);
  const url = await drop(sharer, "holiday.bin", "application/octet-stream", file);
  const taker = await visit(PHONE, url);
  await agree(taker);
  await heading(taker, "Arrived");
  await taker.page.getByText("Every byte matches the link").waitFor();
  const { name, bytes } = await saved(taker);
  expect(name).toBe("holiday.bin");
  expect(sha256(bytes)).toBe(sha256(file));
  // The relay does not hold it: all of it came from the other tab, and both pages say so.
  const peers = taker.page.locator(".sources tr", { hasText: "Peers" });
  await peers.getByText("100 %").waitFor();
  await sharer.page.locator(".figures").getByText("2.1 MB").waitFor();
  await taker.page.getByText("8 of 8 blocks").waitFor();
  await taker.page.getByRole("img", { name: /^The swarm: 1 other visitors/ }).waitFor();
  expect(await sideways(taker)).toBe(0);
  expect(await taker.page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor)).toBe("rgb(12, 18, 16)");
  expect([...sharer.complaints, ...taker.complaints]).toEqual([]);
});

test("the relay's sample is one click away, and shown; a reload finds it in the store", async () => {
  const visitor = await visit(PHONE);
  await agree(visitor);
  await visitor.page.getByRole("button", { name: "Take square.png" }).click();
  await heading(visitor, "Arrived");
  const shown = () => visitor.page.evaluate(async () => {
    const picture = document.querySelector(".player img");
    await picture?.decode();
    return { fromHere: picture?.src.startsWith("blob:"), width: picture?.naturalWidth };
  });
  expect(await shown()).toMatchObject({ fromHere: true });
  expect((await shown()).width).toBeGreaterThan(0);
  const { bytes } = await saved(visitor);
  expect(sha256(bytes)).toBe(sha256(PICTURE));
  await visitor.page.reload();
  // It had agreed, in this tab.
  await heading(visitor, "Arrived");
  await visitor.page.getByText("all of it was here already").waitFor();
  expect(visitor.complaints).toEqual([]);
});

test("a drawing that could hold scripts is there to be saved, and not shown", async () => {
  const visitor = await visit(DESKTOP);
  await agree(visitor);
  await visitor.page.getByRole("button", { name: "Take favicon.svg" }).click();
  await heading(visitor, "Arrived");
  const { bytes } = await saved(visitor);
  expect(sha256(bytes)).toBe(sha256(readFileSync(DRAWING)));
  expect(await visitor.page.locator(".player img").count()).toBe(0);
  expect(visitor.complaints).toEqual([]);
});

test("limits hold, stay, and are taken back; withdrawing ends everything", async () => {
  const visitor = await visit(DESKTOP);
  await agree(visitor);
  await visitor.page.getByText("Relay connected").waitFor();
  await visitor.page.getByLabel("Give bytes to other visitors").last().uncheck();
  await visitor.page.locator("#caps-connections").fill("3");
  await visitor.page.locator("output[for='caps-connections']", { hasText: /^3$/ }).waitFor();
  await visitor.page.reload();
  await visitor.page.getByText("Relay connected").waitFor();
  expect(await visitor.page.locator("#caps-upload").isChecked()).toBe(false);
  expect(await visitor.page.locator("#caps-connections").inputValue()).toBe("3");
  await visitor.page.getByRole("button", { name: "Withdraw consent" }).click();
  await visitor.page.getByRole("button", { name: "Share and connect" }).waitFor();
  await expect.poll(() => visitor.page.workers().length).toBe(0);
  expect(visitor.complaints).toEqual([]);
});

test("a wrong link is told in plain words, by its code", async () => {
  const visitor = await visit(PHONE, "/?c=nonsense");
  await agree(visitor);
  const problem = visitor.page.locator(".stage .problem");
  await problem.getByText("That is not a PeerEdge link").waitFor();
  await problem.getByText("invalid_link").waitFor();
  expect(await visitor.page.getByRole("button", { name: "Try again" }).isVisible()).toBe(false);
  expect(visitor.complaints).toEqual([]);
});

test("tabs of one browser show flows between each other", async () => {
  const first = await visit(DESKTOP);
  await agree(first);
  const url = await drop(first, "a.txt", "text/plain", Buffer.alloc(300_000, "peer"));
  const second = await visit({}, url, first.context);
  await agree(second);
  await heading(second, "Arrived");
  const third = await visit({}, "/", first.context);
  await agree(third);
  // The third is connected with nobody, and knows of the others all the same.
  await third.page.getByRole("img", { name: /^The swarm: 2 other visitors/ }).waitFor();
  expect([...first.complaints, ...second.complaints, ...third.complaints]).toEqual([]);
});

test("a picture is computed in another tab, tile by tile, and both say so", async () => {
  const asker = await visit(PHONE);
  await agree(asker);
  const worker = await visit(DESKTOP);
  await agree(worker);
  await worker.page.getByLabel("Compute for others in this tab").check();
  await worker.page.getByText("Waiting for somebody's task.").waitFor();
  await asker.page.getByRole("button", { name: "Have it computed" }).click();
  await asker.page.getByText(/^Done in .+ runs for 40 tiles/).waitFor({ timeout: 120_000 });
  await asker.page.getByText(/^40 tiles, .+ gas$/).waitFor();
  await worker.page.getByText(/^This tab computed \d+ tiles for others: .+ gas/).waitFor();
  // The set's middle is night; far to the left every point leaves at once.
  const [middle, corner] = await asker.page.locator("canvas.picture").evaluate((canvas) => {
    const at = (x, y) => [...canvas.getContext("2d").getImageData(canvas.width * x, canvas.height * y, 1, 1).data];
    return [at(0.65, 0.5), at(0.01, 0.02)];
  });
  expect(middle).toEqual([10, 18, 24, 255]);
  expect(corner).not.toEqual(middle);
  expect(corner[3]).toBe(255);
  expect(await sideways(asker)).toBe(0);
  expect([...asker.complaints, ...worker.complaints]).toEqual([]);
});

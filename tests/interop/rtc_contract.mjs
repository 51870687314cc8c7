// The contract of `tests/tests/rtc_contract`, with Chromium on one side and the native stack on the other.
//   npm test interop, or node tests/interop/rtc_contract.mjs [PROGRAM]
// PROGRAM is the relay's example `rtc_echo`; without it, it is the debug build's.
import assert from "node:assert/strict";
import { newPeerPage, startBrowser } from "./browser.mjs";
import { startNative } from "./native.mjs";
import { RTC_ECHO } from "../../scripts/lib/steps.mjs";

const SIZES = [1, 2, 1071, 1072, 1200, 16_384, 65_535, 65_536, 65_537, 262_143, 262_144];
const MIB = 2 ** 20;

const program = process.argv[2] ?? RTC_ECHO;

let browser = await startBrowser();
let connection = 0;

/** A fresh native process and a page, joined by a fresh connection. */
async function join(role, { mode = "sink", args = [], page, native } = {}) {
  const id = ++connection;
  const ends = { id };
  ends.page = page ?? (await newPeerPage(browser, (id, signal) => ends.native.tell({ do: "signal", connection: id, signal })));
  ends.native =
    native ??
    startNative(program, args, (id, blob) => {
      ends.page.evaluate(([id, blob]) => peer.signal(id, blob), [id, blob]).catch(() => {});
    });
  ends.inPage = (name, ...rest) => ends.page.evaluate(([name, args]) => peer[name](...args), [name, [id, ...rest]]);
  const [theirs, ours] = role === "page offers" ? ["offerer", "answerer"] : ["answerer", "offerer"];
  if (!native) await ends.native.event("ready");
  const open = { do: "open", connection: id, role: ours, mode };
  if (ours === "answerer") ends.native.tell(open);
  await ends.inPage("open", theirs);
  if (ours === "offerer") ends.native.tell(open);
  await Promise.all([ends.native.event("opened", id), ends.inPage("opened")]);
  return ends;
}

async function end({ page, native }) {
  await page.context().close();
  await native.stop();
}

const cases = {
  async "messages of every size come back as sent"(role) {
    const ends = await join(role, { mode: "echo" });
    assert.equal(await ends.inPage("echo", SIZES), SIZES.length);
    assert.equal(await ends.inPage("echo", Array.from({ length: 3000 }, (_, at) => 1 + (at % 40))), 3000);
    await end(ends);
  },

  async "megabytes arrive intact both ways"(role) {
    const ends = await join(role);
    const { id, native } = ends;
    await ends.inPage("listen", 64 * MIB, true);
    native.tell({ do: "flood", connection: id, bytes: 64 * MIB, message: 16_384 });
    const down = await ends.inPage("received");
    assert.deepEqual([down.bytes, down.intact], [64 * MIB, true]);
    await native.event("flooded", id);
    native.tell({ do: "expect", connection: id, bytes: 64 * MIB });
    await ends.inPage("flood", 64 * MIB, 16_384);
    const up = await native.event("received", id);
    assert.deepEqual([up.bytes, up.intact], [64 * MIB, true]);
    await end(ends);
  },

  async "either side closes and the other sees it"(role) {
    const first = await join(role);
    await first.inPage("close");
    assert.equal((await first.native.event("closed", first.id)).reason, "Remote");
    const second = await join(role, first);
    await second.inPage("closeChannel");
    assert.equal((await second.native.event("closed", second.id)).reason, "Remote");
    const third = await join(role, first);
    third.native.tell({ do: "close", connection: third.id });
    await third.inPage("ended");
    assert.equal((await third.native.event("closed", third.id)).reason, "Local");
    await end(first);
  },

  async "text and messages without credit end the connection"(role) {
    const ends = await join(role);
    await ends.inPage("sendText");
    assert.equal((await ends.native.event("closed", ends.id)).reason, "TextMessage");
    await ends.inPage("ended");
    const next = await join(role, ends);
    next.native.tell({ do: "overspend", connection: next.id });
    assert.match((await next.native.event("closed", next.id)).reason, /^CreditExceeded/);
    await next.inPage("ended");
    await end(next);
  },

  async "an ICE-lite native end works"(role) {
    const ends = await join(role, { mode: "echo", args: ["--lite"] });
    assert.equal(await ends.inPage("echo", [1, 65_536]), 2);
    await end(ends);
  },

  async "a native end that is killed is noticed by the page"(role) {
    const ends = await join(role);
    ends.native.child.kill("SIGKILL");
    await ends.page.waitForFunction(
      (id) => ["disconnected", "failed"].includes(peer.state(id)), ends.id, { timeout: 60_000 },
    );
    await ends.page.context().close();
  },

  async "a browser that is killed is noticed by the native end"(role) {
    const own = await startBrowser();
    const shared = browser;
    browser = own;
    const ends = await join(role, { args: ["--silence-ms", "4000"] });
    browser = shared;
    await kill(own);
    assert.equal((await ends.native.event("closed", ends.id)).reason, "Lost");
    await ends.native.stop();
    await own.close().catch(() => {});
  },
};

/** Ends a browser as a power cut would. */
async function kill(browser) {
  const session = await browser.newBrowserCDPSession();
  session.send("Browser.crash").catch(() => {});
  if (browser.isConnected()) await new Promise((resolve) => browser.once("disconnected", resolve));
}

let failed = 0;
for (const role of ["page offers", "native offers"]) {
  for (const [name, run] of Object.entries(cases)) {
    const started = performance.now();
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error("hangs")), 180_000);
    });
    try {
      await Promise.race([run(role), late]);
      console.log(`ok      ${role}: ${name} (${((performance.now() - started) / 1000).toFixed(1)} s)`);
    } catch (error) {
      failed += 1;
      console.log(`FAILED  ${role}: ${name}\n${error.stack}`);
    } finally {
      clearTimeout(timer);
    }
  }
}
await browser.close();
process.exit(failed ? 1 : 0);

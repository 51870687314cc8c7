// Goodput of one data channel on loopback: native to tab, tab to native, tab to tab.
//   node tests/interop/rtc_bench.mjs PROGRAM [MIB] [RUNS] [MESSAGE_BYTES] [WAY] [-- ARGUMENTS OF PROGRAM]
// WAY is one of native_to_tab, tab_to_native, tab_to_tab; all three otherwise.
import { readFileSync } from "node:fs";
import { newPeerPage, startBrowser } from "./browser.mjs";
import { startNative } from "./native.mjs";

const ownArguments = process.argv.slice(2);
const split = ownArguments.indexOf("--");
const programArguments = split < 0 ? [] : ownArguments.splice(split).slice(1);
const [program, mib = "32", runs = "3", message = "16384", way] = ownArguments;
const bytes = Number(mib) * 2 ** 20;

const browser = await startBrowser();
const results = { native_to_tab: [], tab_to_native: [], tab_to_tab: [] };
let native;
let one;
let two;
one = await newPeerPage(browser, (id, blob) => {
  if (id >= 1000) return two.evaluate(([id, blob]) => peer.signal(id, blob), [id, blob]);
  native.tell({ do: "signal", connection: id, signal: blob });
});
two = await newPeerPage(browser, (id, blob) => one.evaluate(([id, blob]) => peer.signal(id, blob), [id, blob]));

/** Datagrams that found a full receive buffer since the machine started; Linux only. */
function dropped() {
  const [names, values] = readFileSync("/proc/net/snmp", "utf8").split("\n").filter((line) => line.startsWith("Udp:"));
  return Number(values.split(" ")[names.split(" ").indexOf("RcvbufErrors")]);
}

let droppedBefore = dropped();
/** Mbit/s, and the datagrams dropped meanwhile. */
function rate({ bytes, ms }) {
  const drops = dropped() - droppedBefore;
  droppedBefore += drops;
  return { mbit: (bytes * 8) / 1000 / ms, drops };
}

async function nativeRun(id) {
  native = startNative(program, programArguments, (id, signal) =>
    one.evaluate(([id, blob]) => peer.signal(id, blob), [id, signal]),
  );
  await native.event("ready");
  native.tell({ do: "open", connection: id, role: "answerer", mode: "sink" });
  await one.evaluate((id) => peer.open(id, "offerer"), id);
  await native.event("opened", id);
  await one.evaluate((id) => peer.opened(id), id);

  if (way !== "tab_to_native") {
    await one.evaluate(([id, bytes]) => peer.listen(id, bytes, false), [id, bytes]);
    native.tell({ do: "flood", connection: id, bytes, message: Number(message) });
    results.native_to_tab.push(rate(await one.evaluate((id) => peer.received(id), id)));
  }
  if (way !== "native_to_tab") {
    native.tell({ do: "expect", connection: id, bytes });
    await one.evaluate(([id, bytes, size]) => peer.flood(id, bytes, size), [id, bytes, Number(message)]);
    results.tab_to_native.push(rate(await native.event("received", id)));
  }
  await one.evaluate((id) => peer.close(id), id);
  await native.stop();
}

async function tabRun(id) {
  await two.evaluate((id) => peer.open(id, "answerer"), id);
  await one.evaluate((id) => peer.open(id, "offerer"), id);
  await Promise.all([one, two].map((page) => page.evaluate((id) => peer.opened(id), id)));
  await two.evaluate(([id, bytes]) => peer.listen(id, bytes, false), [id, bytes]);
  await one.evaluate(([id, bytes, size]) => peer.flood(id, bytes, size), [id, bytes, Number(message)]);
  results.tab_to_tab.push(rate(await two.evaluate((id) => peer.received(id), id)));
  await one.evaluate((id) => peer.close(id), id);
}

try {
  for (let run = 1; run <= Number(runs); run++) {
    if (way !== "tab_to_tab") await nativeRun(run);
    if (!way || way === "tab_to_tab") await tabRun(1000 + run);
  }
} finally {
  native?.child.kill();
  await browser.close();
}
for (const [name, rates] of Object.entries(results)) {
  if (rates.length === 0) continue;
  const sorted = rates.map(({ mbit }) => mbit).sort((a, b) => a - b);
  const each = rates.map(({ mbit, drops }) => `${mbit.toFixed(0)}/${drops}`).join(" ");
  console.log(`${name}: median ${sorted[sorted.length >> 1]?.toFixed(0)} Mbit/s; rate/drops of each run: ${each}`);
}

// Goodput of one data channel on loopback: native to tab, tab to native, tab to tab.
//   node tests/interop/rtc_bench.mjs PROGRAM [MIB] [RUNS] [MESSAGE_BYTES] [-- ARGUMENTS OF PROGRAM]
import { newPeerPage, startBrowser } from "./browser.mjs";
import { startNative } from "./native.mjs";

const ownArguments = process.argv.slice(2);
const split = ownArguments.indexOf("--");
const programArguments = split < 0 ? [] : ownArguments.splice(split).slice(1);
const [program, mib = "32", runs = "3", message = "16384"] = ownArguments;
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

const rate = ({ bytes, ms }) => (bytes * 8) / 1000 / ms;
try {
  for (let run = 1; run <= Number(runs); run++) {
    native = startNative(program, programArguments, (id, signal) =>
      one.evaluate(([id, blob]) => peer.signal(id, blob), [id, signal]),
    );
    await native.event("ready");
    native.tell({ do: "open", connection: run, role: "answerer", mode: "sink" });
    await one.evaluate((id) => peer.open(id, "offerer"), run);
    await native.event("opened", run);
    await one.evaluate((id) => peer.opened(id), run);

    const down = one.evaluate(([id, bytes]) => peer.receive(id, bytes, false), [run, bytes]);
    native.tell({ do: "flood", connection: run, bytes, message: Number(message) });
    results.native_to_tab.push(rate(await down));

    native.tell({ do: "expect", connection: run, bytes });
    await one.evaluate(([id, bytes, size]) => peer.flood(id, bytes, size), [run, bytes, Number(message)]);
    results.tab_to_native.push(rate(await native.event("received", run)));
    await one.evaluate((id) => peer.close(id), run);
    await native.stop();

    const id = 1000 + run;
    await two.evaluate((id) => peer.open(id, "answerer"), id);
    await one.evaluate((id) => peer.open(id, "offerer"), id);
    await Promise.all([one, two].map((page) => page.evaluate((id) => peer.opened(id), id)));
    const across = two.evaluate(([id, bytes]) => peer.receive(id, bytes, false), [id, bytes]);
    await one.evaluate(([id, bytes, size]) => peer.flood(id, bytes, size), [id, bytes, Number(message)]);
    results.tab_to_tab.push(rate(await across));
    await one.evaluate((id) => peer.close(id), id);
  }
} finally {
  native?.child.kill();
  await browser.close();
}
for (const [name, rates] of Object.entries(results)) {
  const sorted = [...rates].sort((a, b) => a - b);
  const median = sorted[sorted.length >> 1];
  console.log(`${name}: median ${median?.toFixed(0)} Mbit/s of ${rates.map((r) => r.toFixed(0)).join(" ")}`);
}

// Parts `loss1` and `loss3`: 40 ms there and back with 1 or 3 % loss each way; one sender and four, beside one bare data channel.
// Part `native`: the same path from the native relay to one tab.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "../../tests/browser/harness.mjs";
import { randomBytes } from "../../tests/browser/random.mjs";
import { publishedLink } from "../../tests/browser/flows/flow.mjs";
import { MIB, SYMBOL_BYTES, Scene, done, kernelDrops, lossy, mbit, median, timed, within } from "./scene.mjs";

const WARM_UP_MS = 1_000;

/** Bytes a second of one bare channel. */
export async function bare(scene, links, { ms, round, options = {}, messageBytes = SYMBOL_BYTES }) {
  const [a, b] = await scene.channel([`bare a ${round}`, `bare b ${round}`], links, options);
  const rate = b.run(([warmUp, ms]) => channel.rate(warmUp, ms), [WARM_UP_MS, ms]);
  await a.run((messageBytes) => void channel.flood(messageBytes), messageBytes);
  const bytesPerSecond = await within(60, rate);
  await done(a, b);
  return bytesPerSecond;
}

/** Bytes a second, from the call of `fetch` to the last byte, with so many senders. */
async function senders(scene, links, { count, length, round }) {
  const tabs = [];
  let link;
  for (let n = 0; n < count; n++) {
    const tab = await scene.tab(`${count} senders ${round} ${n}`, links);
    ({ link } = await tab.publish({ seed: round * 10, length }));
    tabs.push(tab);
  }
  const receiver = await scene.tab(`${count} senders ${round} receiver`, links, { tuning: { http: false } });
  const ms = await timed(receiver, link, length);
  const { connectionsMade, duplicateBytes } = await receiver.stats();
  await done(receiver, ...tabs);
  return { bytesPerSecond: (length * 1000) / ms, connections: connectionsMade, duplicates: duplicateBytes / length };
}

export async function loss(share, key, { rounds, quick, figures, row, say }) {
  const scene = await Scene.open();
  const samples = { bare: [], one: [], four: [] };
  try {
    for (let round = 1; round <= rounds; round++) {
      say(`${share * 100} % loss, round ${round} of ${rounds}`);
      samples.bare.push(await bare(scene, lossy(share), { ms: quick ? 6_000 : 10_000, round }));
      samples.one.push(await senders(scene, lossy(share), { count: 1, length: (quick ? 12 : 24) * MIB, round }));
      samples.four.push(await senders(scene, lossy(share), { count: 4, length: (quick ? 32 : 64) * MIB, round }));
    }
  } finally {
    await scene.close();
  }
  const over = (name) => median(samples[name].map(({ bytesPerSecond }, n) => bytesPerSecond / samples.bare[n]));
  const rate = (name) => mbit(median(samples[name].map(({ bytesPerSecond }) => bytesPerSecond)));
  const detail = (name) => {
    const { connections, duplicates } = samples[name].at(-1);
    return `${connections} connections, ${(duplicates * 100).toFixed(1)} % twice`;
  };
  row(`${share * 100} % loss, bare channel`, mbit(median(samples.bare)), "Mbit/s");
  row(`${share * 100} % loss, one sender`, rate("one"), "Mbit/s", detail("one"));
  row(`${share * 100} % loss, four senders`, rate("four"), "Mbit/s", detail("four"));
  figures[`${key}_one_sender_over_raw`] = over("one");
  figures[`${key}_four_senders_over_raw`] = over("four");
}

export async function native({ rounds, quick, figures, row, say }) {
  const length = (quick ? 12 : 24) * MIB;
  const path = join(temporaryFolder("native"), "random.bin");
  writeFileSync(path, randomBytes(77, length));
  const links = lossy(0.01);
  const scene = await Scene.open({ relay: { publish: [path] }, links });
  const samples = { bare: [], native: [], clean: [], drops: [] };
  try {
    const link = await publishedLink(scene.stage.relay);
    for (let round = 1; round <= rounds; round++) {
      say(`native sender, round ${round} of ${rounds}`);
      samples.bare.push(await bare(scene, links, { ms: quick ? 6_000 : 10_000, round }));
      const tab = await scene.tab(`native ${round}`, links, { tuning: { http: false } });
      samples.native.push((length * 1000) / (await timed(tab, link, length)));
      await done(tab);
      // A clean loopback, without the lab between: what the kernel drops there, the sender's bursts are to blame for.
      const clean = await scene.stage.tab();
      await clean.create({ tuning: { http: false } });
      const before = kernelDrops();
      samples.clean.push((length * 1000) / (await timed(clean, link, length)));
      samples.drops.push(kernelDrops() - before);
      await done(clean);
    }
  } finally {
    await scene.close();
  }
  row("native sender to a tab, 1 % loss", mbit(median(samples.native)), "Mbit/s");
  row("native sender to a tab, clean loopback", mbit(median(samples.clean)), "Mbit/s", `${median(samples.drops)} datagrams dropped`);
  figures.native_sender_over_chromium_loss1 = median(samples.native.map((rate, n) => rate / samples.bare[n]));
  figures.native_sender_clean_kernel_drops = Math.max(...samples.drops);
}

/** How one connection's channel could carry symbols: what decides the kind that PeerEdge uses. */
export async function kinds({ rounds, quick, row, say }) {
  const scene = await Scene.open();
  const KINDS = [
    ["ordered, reliable", {}],
    ["unordered, reliable", { ordered: false }],
    ["unordered, unreliable", { ordered: false, maxRetransmits: 0 }],
  ];
  try {
    for (const share of [0, 0.01, 0.03]) {
      for (const messageBytes of [SYMBOL_BYTES, 1100]) {
        for (const [what, options] of KINDS) {
          say(`${what}, ${share * 100} % loss, ${messageBytes} bytes`);
          const rates = [];
          for (let round = 1; round <= rounds; round++) {
            const name = `${what} ${share} ${messageBytes} ${round}`;
            rates.push(await bare(scene, lossy(share), { ms: quick ? 4_000 : 8_000, round: name, options, messageBytes }));
          }
          row(`${what}, ${messageBytes} B messages, ${share * 100} % loss`, mbit(median(rates)), "Mbit/s");
        }
      }
    }
  } finally {
    await scene.close();
  }
}

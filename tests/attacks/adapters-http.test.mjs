// The site's own server as a source of the engine, when it misbehaves. The relay has everything, too, so nothing is lost but time: what
// counts is that all bytes are right, how often such a server is asked, and what it is made to send.
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { publishedLink, randomFile } from "../browser/flows/flow.mjs";
import { Stage } from "../browser/harness.mjs";
import { attacked } from "./attack.mjs";
import { HOW, OddSite, first } from "./odd-site.mjs";
import { readFileSync } from "node:fs";

const SEED = 41;
const LENGTH = 24 << 20;
const PATH = "/film.bin";

let stage, site, elsewhere, link;
beforeAll(async () => {
  const file = randomFile(SEED, LENGTH);
  stage = await Stage.open({ relay: { publish: [file] } });
  link = await publishedLink(stage.relay);
  elsewhere = await OddSite.start({ [PATH]: readFileSync(file) });
  site = await OddSite.start({ [PATH]: readFileSync(file) }, { elsewhere: elsewhere.url });
});
afterEach(() => stage?.closeTabs());
afterAll(async () => {
  await stage?.close();
  await site?.stop();
  await elsewhere?.stop();
});

/** A fetch by plain HTTP alone, with every byte compared. */
async function fetched(how) {
  site.how[PATH] = how;
  site.forget();
  elsewhere.forget();
  const tab = await stage.tab();
  // No connection to anybody: the relay's own peer would give it all.
  await tab.create({ caps: { connections: 0 }, store: { kind: "memory" }, tuning: { cacheBytes: 128 << 20 } });
  const result = await tab.fetch(link, { seed: SEED, origin: `${site.url}${PATH}` });
  const stats = await tab.stats();
  return { result, stats, asked: site.askedFor(PATH), sent: site.sentOf(PATH) };
}

const MIB = 1 << 20;
const whole = ({ result }) => result.status === 200 && result.bytes === LENGTH;

/** `asked`, `sent`: how often the server may be asked, and what it may send. */
const SERVERS = [
  // Three requests are under way when that is found out; what the socket holds of the other two counts as sent.
  { name: "ignores ranges and sends the whole file each time", how: () => HOW.noRanges, asked: 6, sent: 2 * LENGTH },
  { name: "accepts and is silent", how: () => HOW.silent, asked: 16, sent: 0 },
  { name: "accepts and drips", how: () => HOW.drips, asked: 16, sent: MIB },
  { name: "gives one short answer", how: () => first(1, HOW.closesEarly), asked: 1000, sent: 2 * LENGTH },
  { name: "closes every answer in its middle", how: () => HOW.closesEarly, asked: 40, sent: LENGTH },
  { name: "sends another part than it was asked for", how: () => HOW.wrongPart, asked: 40, sent: LENGTH },
  // That an answer is compressed shows when it comes: each of the few tries may be the whole.
  { name: "compresses what it sends", how: () => HOW.gzip, asked: 6, sent: 4 * LENGTH },
  { name: "has another file of the same length", how: () => HOW.otherFile, asked: 6, sent: 4 * MIB },
  // What waits in sockets comes on top of what is read.
  { name: "sends bodies without end", how: () => HOW.endless, asked: 6, sent: 96 * MIB },
  { name: "sends headers without end", how: () => HOW.hugeHeaders, asked: 40, sent: 0 },
  { name: "redirects to another origin", how: () => HOW.redirects, asked: 1000, sent: 0 },
  { name: "says 503 once, and when to come back", how: () => first(1, HOW.busy), asked: 1000, sent: 2 * LENGTH },
  { name: "says 503 for ever", how: () => HOW.busy, asked: 16, sent: MIB },
];

test.each(SERVERS)("a server that $name", async ({ name, how, asked, sent }) => {
  const got = await fetched(how());
  // How much of it such a server gives is a matter of pace, and shown on virtual time in crates/node/tests/servers.rs.
  const held = whole(got) && got.asked <= asked && got.sent <= sent;
  attacked({
    room: "adapters",
    kind: "servers",
    name: `a site's server that ${name}`,
    spent: `${got.asked} answers, ${(got.sent / MIB).toFixed(1)} MiB`,
    lost: whole(got) ? `nothing; ${(got.result.lastByteMs / 1000).toFixed(1)} s for ${LENGTH / MIB} MiB` : "bytes",
    held,
  });
  expect(got.stats.fromHttpBytes).toBe(LENGTH);
});

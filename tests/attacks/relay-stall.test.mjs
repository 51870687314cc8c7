// A part of the relay that stands still: it shows, it is started anew or ends the process, and it keeps nobody from stopping the relay.
//
// Only a debug build stands still on demand: the part that STAND_STILL_FILE names blocks its thread for ever, as a deadlock would.
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, test as anyTest } from "vitest";
import { attacked } from "./attack.mjs";
import { Relay, folder, until, wait } from "./relay-tools.mjs";
import { folder as room, noise, pathOf, peeredge, publish } from "./program.mjs";

const test = anyTest.skipIf(Boolean(process.env.ATTACKS_RELEASED));
let [relay, files] = [null, null];

afterEach(async () => {
  await relay?.kill();
  files?.remove();
  [relay, files] = [null, null];
});

/** Starts a relay and stops one of its parts. */
async function stall(part, settings, more = {}) {
  files ??= folder();
  const file = join(files.path, "stand-still");
  relay = await Relay.start({ env: { STAND_STILL_FILE: file }, settings, ...more });
  writeFileSync(file, part);
  await until(() => !existsSync(file));
}

const readiness = async () => {
  const answer = await fetch(`${relay.url}/readyz`);
  return `${answer.status} ${await answer.text()}`;
};

for (const part of ["peer", "rtc"]) {
  test(`the relay's own ${part} that stands still shows, and is started anew`, async () => {
    const base = room("stall");
    const link = await publish(base.at("data"), "film.bin", noise(2_000_000, 1));
    await stall(part, { stall_ms: 8000 }, { dataDir: base.at("data") });
    let shown = "";
    await until(async () => /stands still/.test((shown = await readiness())), 30_000);
    const isStalled = await relay.metric(`peeredge_stalled{part="${part}"}`);
    await until(async () => (await readiness()).startsWith("200"), 60_000);
    const restarts = await relay.metric(`peeredge_restarts_total{part="${part}"}`);
    const got = await peeredge(["get", relay.url + pathOf(link), "--no-http", "-q", "-o", "/dev/null"]);
    attacked({
      room: "relay",
      kind: "stalls",
      name: `the own ${part} stands still`,
      spent: "one blocked thread",
      lost: `${shown.trim()}; fetched afterwards: ${got.code === 0}`,
      held: shown.startsWith("503") && shown.includes(`${part} stands still`) && isStalled === 1 && restarts === 1 && got.code === 0 && relay.log.includes("stands still") && relay.log.includes("is started anew"),
    });
    await relay.kill();
    base.remove();
  });
}

for (const part of ["tracker", "port"]) {
  test(`the ${part} that stands still ends the process with a sentence`, async () => {
    await stall(part, { stall_ms: 2000 });
    const code = await Promise.race([relay.exited, wait(40_000).then(() => "late")]);
    attacked({ room: "relay", kind: "stalls", name: `the ${part} stands still`, spent: "one blocked thread", lost: `ended with ${code}`, held: code === 1 && relay.log.includes("cannot be started anew within this process") && relay.log.includes(part) });
  });
}

test("a part that stands still keeps nobody from stopping the relay", async () => {
  const codes = [];
  for (const part of ["peer", "rtc", "tracker"]) {
    // Far longer than the test: nothing is started anew meanwhile.
    await stall(part, { stall_ms: 3_600_000, shutdown_grace_ms: 1000 });
    relay.process.kill("SIGTERM");
    // The grace, ten seconds, and what a busy machine takes.
    codes.push(await Promise.race([relay.exited, wait(25_000).then(() => "late")]));
    await relay.kill();
  }
  attacked({ room: "relay", kind: "stalls", name: "stopping beside a part that stands still", spent: "one blocked thread", lost: `ended with ${codes.join(", ")}`, held: codes.every((code) => code === 0 || code === 1) });
});

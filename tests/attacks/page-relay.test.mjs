// A relay that is hostile, and a page that made and closed more connections than its browser holds.
import { createServer } from "node:http";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { WebSocketServer } from "ws";
import { Stage } from "../browser/harness.mjs";
import { attacked } from "./attack.mjs";
import { exchanges, victim } from "./page.mjs";

const room = "page";

let stage;
beforeAll(async () => {
  stage = await Stage.open();
});
afterEach(() => stage.closeTabs());
afterAll(() => stage?.close());

test("1500 peer connections made and closed in one page: the browser lets go of them, and the peer goes on", async () => {
  const target = await victim(stage);
  const { made, refused } = await target.tab.run(async () => {
    const { make, release } = await (0, eval)(`import("/peeredge/dist/recycle.js")`);
    let [made, refused] = [0, 0];
    // Outside of the loop, whose variables it would hold.
    const gone = () => {};
    const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
    while (made < 1500 && refused < 200) {
      const rtc = make({}, gone);
      if (rtc) {
        rtc.createDataChannel("x", { negotiated: true, id: 0 });
        release(rtc);
        made += 1;
      } else refused += 1;
      // Refused is who comes too fast for the garbage collection.
      await pause(rtc ? 4 : 250);
    }
    return { made, refused };
  });
  const works = await exchanges(stage, target);
  attacked({ room, kind: "spending", name: "1500 connections made and closed in one page", spent: "1500 connections", lost: `${1500 - made} not made, exchange ${works ? "goes on" : "is over"}`, held: made === 1500 && works });
  expect(refused).toBeLessThan(200);
});

/** A relay that greets every socket with `frames`, and answers all HTTP with `body`. */
async function hostileRelay(greet, body = "") {
  const server = createServer((request, response) => {
    response.writeHead(200, { "access-control-allow-origin": "*" });
    response.end(body);
  });
  new WebSocketServer({ server, perMessageDeflate: false }).on("connection", (socket) => {
    socket.on("error", () => undefined);
    greet(socket);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    stop: () => (server.closeAllConnections(), new Promise((resolve) => server.close(resolve))),
  };
}

const error = Buffer.concat([Buffer.from([0x86, 1]), Buffer.from([3]), Buffer.from("\u202ex")]);
for (const [name, greet] of [
  ["frames of 20 MB", (socket) => socket.send(Buffer.alloc(20_000_000, 0x86))],
  ["texts", (socket) => Array.from({ length: 1000 }, () => socket.send("x".repeat(1000)))],
  ["noise", (socket) => Array.from({ length: 1000 }, (_, at) => socket.send(Buffer.alloc(100, at)))],
  ["10,000 refusals", (socket) => Array.from({ length: 10_000 }, () => socket.send(error))],
]) {
  test(`a relay that sends ${name} cannot end the peer, nor flood the page`, async () => {
    const relay = await hostileRelay(greet, "x".repeat(100_000));
    const tab = await stage.tab();
    await tab.create({ relay: relay.url, tuning: { giveUpAfterMs: 1_000 } });
    await new Promise((resolve) => setTimeout(resolve, 4_000));
    const events = (await tab.events()).length;
    const { engine } = await tab.stats();
    const closed = await tab.run(() => harness.peer().closed);
    await relay.stop();
    attacked({ room, kind: "servers", name: `a relay that sends ${name}`, spent: "a relay", lost: `${events} events in 4 s, peer closed: ${closed}`, held: engine === "worker" && !closed && events < 200 && tab.errors.length === 0 });
  });
}

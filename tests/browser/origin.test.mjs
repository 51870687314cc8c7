// The site's own server as one more source: an ordinary nginx with its ranges, one that lies, and one that is broken.
import { execFileSync, spawn } from "node:child_process";
import { copyFileSync, existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { MIB, publishedLink, randomFile } from "./flows/flow.mjs";
import { Stage, temporaryFolder } from "./harness.mjs";
import { freePort } from "./relay.mjs";

const LENGTH = 8 * MIB;
const nginx = ["/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/sbin/nginx"].find(existsSync);
if (!nginx) console.log("the tests of the site's own server are skipped: nginx is missing (Debian: apt-get install nginx-light)");

let stage;
let server;
beforeAll(async () => {
  if (!nginx) return;
  stage = await Stage.open({ relay: { publish: [randomFile(11, LENGTH)] } });
  server = await start({ "right.bin": randomFile(11, LENGTH), "wrong.bin": randomFile(12, LENGTH) });
});
afterEach(() => stage?.closeTabs());
afterAll(async () => {
  await stage?.close();
  server?.stop();
});

test.skipIf(!nginx)("an honest one gives the bytes, verified, and the relay gives none of them", async () => {
  const [stats, result] = await fetchBeside(`${server.url}/right.bin`);
  expect(result).toMatchObject({ status: 200, bytes: LENGTH });
  expect(stats).toMatchObject({ fromOriginBytes: LENGTH, fromHttpBytes: LENGTH, rejectedBytes: 0 });
  // Ranges, as the server saw them.
  expect(server.log()).toMatch(/right\.bin HTTP\/1\.1" 206/);
});

test.skipIf(!nginx)("one that has other bytes is found out, and the relay stands in", async () => {
  const [stats, result] = await fetchBeside(`${server.url}/wrong.bin`);
  expect(result).toMatchObject({ status: 200, bytes: LENGTH });
  expect(stats.fromOriginBytes).toBe(0);
  expect(stats.rejectedBytes).toBeGreaterThan(0);
  // Found out with the first answers: a few ranges, not all of it.
  expect(stats.rejectedBytes).toBeLessThan(LENGTH / 2 + 1);
  expect(stats.fromHttpBytes).toBe(LENGTH);
});

test.skipIf(!nginx)("one that does not have it, or does not answer, costs nothing but a request", async () => {
  for (const url of [`${server.url}/missing.bin`, "http://127.0.0.1:9/nobody.bin"]) {
    const [stats, result] = await fetchBeside(url);
    expect(result).toMatchObject({ status: 200, bytes: LENGTH });
    expect(stats).toMatchObject({ fromOriginBytes: 0, fromHttpBytes: LENGTH });
    await stage.closeTabs();
  }
});

/** A fetch by plain HTTP alone, with every byte compared. */
async function fetchBeside(origin) {
  const tab = await stage.tab();
  // No connection to anybody: the relay's own peer would give it all.
  await tab.create({ caps: { connections: 0 }, store: { kind: "memory" } });
  const result = await tab.fetch(await publishedLink(stage.relay), { seed: 11, origin });
  return [await tab.stats(), result];
}

async function start(files) {
  const folder = temporaryFolder("nginx");
  for (const [name, path] of Object.entries(files)) copyFileSync(path, join(folder, name));
  const port = await freePort();
  const config = join(folder, "nginx.conf");
  writeFileSync(
    config,
    `pid ${folder}/pid; error_log ${folder}/error.log; daemon off; events {}
     http {
       access_log ${folder}/access.log;
       ${["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${folder}/${name};`).join(" ")}
       server {
         listen 127.0.0.1:${port};
         root ${folder};
         add_header access-control-allow-origin *;
         add_header access-control-allow-headers range;
         if ($request_method = OPTIONS) { return 204; }
       }
     }`,
  );
  // Root's server would give its work to a user who may not read the folder.
  const child = spawn(nginx, ["-c", config, "-g", process.getuid() === 0 ? "user root;" : ""], { stdio: "ignore" });
  const url = `http://127.0.0.1:${port}`;
  for (let tries = 0; !(await fetch(`${url}/right.bin`, { method: "HEAD" }).catch(() => null))?.ok; tries++) {
    if (tries > 100) throw new Error("nginx does not start");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return { url, stop: () => child.kill(), log: () => execFileSync("cat", [join(folder, "access.log")], { encoding: "utf8" }) };
}

// What a store loses, or does not, when its files go wrong: records missing, bits flipped, strangers' files, a full disk.
import { appendFileSync, existsSync, mkdirSync, openSync, closeSync, readFileSync, renameSync, rmSync, symlinkSync, truncateSync, unlinkSync, utimesSync, writeFileSync, writeSync } from "node:fs";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { Relay } from "../browser/relay.mjs";
import { attacked } from "./attack.mjs";
import { folder, idOf, names, noise, pathOf, peeredge, publish, same, start } from "./program.mjs";

const cleanups = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function store(name) {
  const made = folder(name);
  cleanups.push(made.remove);
  return made.at("data");
}

async function relay(dataDir, settings = {}) {
  const started = await Relay.start({ dataDir, settings: { rtc: false, stun: false, ...settings } });
  cleanups.push(() => started.stop());
  return started;
}

function flip(path, at) {
  const byte = readFileSync(path)[at];
  const file = openSync(path, "r+");
  writeSync(file, Buffer.from([byte ^ 0x40]), 0, 1, at);
  closeSync(file);
}

/** What a client gets: whole bytes, or an error where the connection ended. */
async function fetched(url, headers = {}) {
  try {
    const answer = await fetch(url, { headers });
    const bytes = Buffer.from(await answer.arrayBuffer());
    return { status: answer.status, bytes, headers: answer.headers };
  } catch (error) {
    return { status: 0, bytes: null, error };
  }
}

async function eventually(what, is) {
  for (let tries = 0; tries < 200; tries++) {
    if (await is()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`waited too long for ${what}`);
}

describe("the record file", () => {
  for (const [how, harm] of [
    ["is missing", (path) => unlinkSync(path)],
    ["is empty", (path) => truncateSync(path, 0)],
    ["is noise", (path) => writeFileSync(path, noise(100_000))],
    ["is cut in the middle", (path) => truncateSync(path, Math.floor(readFileSync(path).length / 2))],
  ]) {
    test(`that ${how} costs no published file`, async () => {
      const data = store("records");
      const films = [noise(700_000, 1), noise(300_000, 2)];
      const links = [await publish(data, "one.bin", films[0]), await publish(data, "two.bin", films[1])];
      const before = names(join(data, "contents"));
      harm(join(data, "peeredge.redb"));

      const first = await peeredge(["check", "--data-dir", data]);
      expect(first.code, first.stderr).toBe(1);
      expect(first.stderr + first.stdout).toMatch(/peeredge check --repair/);
      expect(first.stderr).not.toMatch(/panicked/);
      // A relay starts, or says why not; either way it deletes nothing.
      const started = await peeredge(["serve", "--bind", "127.0.0.1:0", "--rtc", "false", "--data-dir", data], {
        signalAfter: { ms: 1500, signal: "SIGTERM" },
      });
      expect(started.stderr).not.toMatch(/panicked/);
      const kept = before.every((name) => existsSync(join(data, "contents", name)));

      const repaired = await peeredge(["check", "--repair", "--data-dir", data]);
      expect(repaired.code, repaired.stdout + repaired.stderr).toBe(0);
      const running = await relay(data);
      const served = await Promise.all(links.map((link) => fetched(running.url + pathOf(link))));
      attacked({
        room: "store",
        kind: "data",
        name: `a record file that ${how}`,
        spent: "one file",
        lost: kept ? "nothing: all is served again after check --repair" : "published files",
        held: kept && served.every((answer, n) => answer.status === 200 && same(answer.bytes, films[n])),
      });
    });
  }

  test("that is newer than this program ends in a sentence and is left alone", async () => {
    const data = store("newer");
    mkdirSync(data, { recursive: true });
    await publish(data, "one.bin", noise(1000));
    // redb keeps its own format's number in the header.
    const path = join(data, "peeredge.redb");
    const bytes = readFileSync(path);
    bytes[64] = bytes[192] = bytes[320] = 0xee;
    writeFileSync(path, bytes);
    const started = await peeredge(["serve", "--bind", "127.0.0.1:0", "--rtc", "false", "--data-dir", data], { within: 10_000, signalAfter: { ms: 4000, signal: "SIGTERM" } });
    attacked({
      room: "store",
      kind: "data",
      name: "a record file of another format",
      spent: "three bytes",
      lost: "nothing: the relay ends with a sentence",
      held: !/panicked/.test(started.stderr) && (started.code === 1 ? started.stderr.includes("peeredge.redb") : started.code === 0) && readFileSync(path).length >= bytes.length,
    });
  });
});

describe("bytes that rot", () => {
  test("are not served, end the answer in the middle, and show in readiness and metrics", async () => {
    const data = store("rot");
    const film = noise(3_000_000, 3);
    const link = await publish(data, "film.bin", film);
    flip(join(data, "contents", `${idOf(link)}.data`), 2_500_000);
    const running = await relay(data);
    const whole = await fetched(running.url + pathOf(link));
    const rotten = await fetched(running.url + pathOf(link), { range: "bytes=2490000-2510000" });
    const sound = await fetched(running.url + pathOf(link), { range: "bytes=0-99999" });
    const readiness = await fetch(`${running.url}/readyz`);
    const says = await readiness.text();
    attacked({
      room: "store",
      kind: "data",
      name: "a flipped bit in published data",
      spent: "one bit",
      lost: "one block, until its file is published again",
      held:
        whole.bytes === null &&
        rotten.status === 503 &&
        !rotten.headers.has("etag") &&
        !/immutable/.test(rotten.headers.get("cache-control")) &&
        sound.status === 206 &&
        same(sound.bytes, film.subarray(0, 100_000)) &&
        readiness.status === 503 &&
        /damaged: 1/.test(says) &&
        (await running.metric("peeredge_store_damaged_blocks")) === 1,
    });
    // Publishing the file again mends it, though it has not changed.
    await publish(data, "film.bin", film);
    await eventually("readiness", async () => (await fetch(`${running.url}/readyz`)).ok);
    const mended = await fetched(running.url + pathOf(link));
    expect(mended.status === 200 && same(mended.bytes, film)).toBe(true);
  });

  test("after they were verified in this run are found, as the file has changed", async () => {
    const data = store("later");
    const film = noise(1_000_000, 4);
    const link = await publish(data, "film.bin", film);
    const running = await relay(data);
    expect((await fetched(running.url + pathOf(link))).status).toBe(200);
    flip(join(data, "contents", `${idOf(link)}.data`), 10);
    const after = await fetched(running.url + pathOf(link));
    flip(join(data, "contents", `${idOf(link)}.data`), 10);
    const back = await fetched(running.url + pathOf(link));
    attacked({
      room: "store",
      kind: "data",
      name: "a bit flipped under a running relay",
      spent: "one bit",
      lost: "nothing once the copy was put back",
      held: after.status === 503 && back.status === 200 && same(back.bytes, film) && (await fetch(`${running.url}/readyz`)).ok,
    });
  });

  test("in records are made good from the data", async () => {
    const data = store("record-rot");
    const film = noise(1_000_000, 5);
    const link = await publish(data, "film.bin", film);
    const records = join(data, "contents", `${idOf(link)}.records`);
    const right = readFileSync(records);
    flip(records, 40);
    const running = await relay(data);
    const answer = await fetched(`${running.url}/r/${idOf(link)}`);
    unlinkSync(records);
    const without = await fetched(running.url + pathOf(link));
    attacked({
      room: "store",
      kind: "data",
      name: "a flipped bit in records, then no records at all",
      spent: "one file",
      lost: "nothing",
      held: answer.status === 200 && same(answer.bytes, right) && without.status === 200 && same(without.bytes, film),
    });
  });

  test("are found by `peeredge verify` beside a running relay, which then knows", async () => {
    const data = store("verify");
    const links = [await publish(data, "one.bin", noise(2_000_000, 6)), await publish(data, "two.bin", noise(1000, 7))];
    const running = await relay(data);
    expect((await peeredge(["verify", "--data-dir", data])).code).toBe(0);
    flip(join(data, "contents", `${idOf(links[0])}.data`), 1_999_999);
    const verified = await peeredge(["verify", "--data-dir", data]);
    const lines = verified.stdout.toString();
    await eventually("the relay to know", async () => (await fetch(`${running.url}/readyz`)).status === 503);
    attacked({
      room: "store",
      kind: "data",
      name: "rot that nobody has asked for yet",
      spent: "one bit",
      lost: "one block, named",
      held: verified.code === 1 && lines.includes(`damaged ${idOf(links[0])} one.bin: block`) && lines.includes(`ok ${idOf(links[1])} two.bin`),
    });
  });

  test("that are cut, gone or no file are told and nothing else is touched", async () => {
    const data = store("kinds");
    const films = [1, 2, 3, 4].map((n) => noise(400_000, 10 + n));
    const links = [];
    for (const [n, film] of films.entries()) links.push(await publish(data, `${n}.bin`, film));
    const of = (n) => join(data, "contents", `${idOf(links[n])}.data`);
    const secret = join(data, "..", "secret");
    writeFileSync(secret, films[1]);
    truncateSync(of(0), 1000);
    unlinkSync(of(1));
    symlinkSync(secret, of(1));
    unlinkSync(of(2));
    execFileSync("mkfifo", [of(2)]);
    const running = await relay(data);
    const answers = await Promise.all(links.map((link) => fetched(running.url + pathOf(link))));
    const says = await (await fetch(`${running.url}/readyz`)).text();
    const records = names(join(data, "contents")).filter((name) => name.endsWith(".records")).length;
    for (const n of [0, 1, 2]) {
      if (n !== 0) unlinkSync(of(n));
      await publish(data, `${n}.bin`, films[n]);
    }
    const again = await Promise.all(links.map((link) => fetched(running.url + pathOf(link))));
    attacked({
      room: "store",
      kind: "data",
      name: "data cut short, a link and a pipe in its place",
      spent: "three files",
      lost: "three contents until they are published again",
      held:
        answers.slice(0, 3).every((answer) => answer.status === 503) &&
        answers[3].status === 200 &&
        /lost: 3/.test(says) &&
        records === 4 &&
        again.every((answer, n) => answer.status === 200 && same(answer.bytes, films[n])),
    });
  });
});

describe("the inbox", () => {
  test("takes nothing that a publisher did not finish, and deletes nothing of anybody's", async () => {
    const data = store("inbox");
    const running = await relay(data);
    const film = noise(50_000, 8);
    const inbox = join(data, "inbox");
    const outside = join(data, "..", "outside");
    mkdirSync(outside);
    writeFileSync(join(outside, "entry"), "mine");
    writeFileSync(join(inbox, "film.mp4"), film);
    mkdirSync(join(inbox, "holiday"));
    writeFileSync(join(inbox, "holiday", "one.jpg"), film);
    symlinkSync(outside, join(inbox, "link"));
    mkdirSync(join(inbox, "lies"));
    for (const [name, bytes] of [["entry", noise(90, 9)], ["state", noise(100, 9)], ["data", film], ["records", film]]) writeFileSync(join(inbox, "lies", name), bytes);
    await new Promise((resolve) => setTimeout(resolve, 800));
    const mine = ["film.mp4", "holiday", "link"].every((name) => names(inbox).includes(name));
    const warnings = running.log.split("\n").filter((line) => line.includes("not imported")).length;
    const link = await publish(data, "real.bin", film);
    attacked({
      room: "store",
      kind: "data",
      name: "strangers' files in the inbox",
      spent: "4 files, folders and links",
      lost: `nothing; ${warnings} lines of log`,
      held:
        mine &&
        warnings <= 5 &&
        names(inbox).length === 3 &&
        readFileSync(join(outside, "entry"), "utf8") === "mine" &&
        names(join(data, "contents")).every((name) => name.startsWith(idOf(link))) &&
        (await fetched(running.url + pathOf(link))).status === 200,
    });
  });
});

describe("one folder", () => {
  test("has one relay, even when the record file is replaced under it", async () => {
    const data = store("two");
    const running = await relay(data);
    const second = await peeredge(["serve", "--bind", "127.0.0.1:0", "--rtc", "false", "--data-dir", data], { within: 20_000 });
    renameSync(join(data, "peeredge.redb"), join(data, "peeredge.away"));
    const third = await peeredge(["serve", "--bind", "127.0.0.1:0", "--rtc", "false", "--data-dir", data], { within: 20_000 });
    attacked({
      room: "store",
      kind: "data",
      name: "two relays on one data folder",
      spent: "two processes",
      lost: "nothing",
      held: [second, third].every((ended) => ended.code === 1 && /in use by another process/.test(ended.stderr)) && (await fetch(`${running.url}/readyz`)).ok,
    });
  });

  test.skipIf(process.getuid() !== 0)("of somebody else's, or mounted read-only, ends in a sentence", async () => {
    const data = store("owner");
    await publish(data, "one.bin", noise(1000));
    execFileSync("chmod", ["0755", join(data, "..")]);
    const stranger = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    const words = ["serve", "--bind", "127.0.0.1:0", "--rtc", "false", "--data-dir", data];
    const foreign = await peeredge(words, { wrap: stranger, within: 10_000 });
    const readOnly = await peeredge(words, {
      wrap: ["unshare", "--mount", "sh", "-c", `mount --bind ${data} ${data} && mount -o remount,bind,ro ${data} && exec "$@"`, "sh"],
      within: 10_000,
    });
    attacked({
      room: "store",
      kind: "data",
      name: "a store of another user's, and one that is mounted read-only",
      spent: "nothing",
      lost: "nothing: the relay ends with a sentence",
      held:
        foreign.code === 1 &&
        /belongs to user 0/.test(foreign.stderr) &&
        readOnly.code === 1 &&
        /mount it for writing/.test(readOnly.stderr) &&
        ![foreign, readOnly].some((ended) => /panicked/.test(ended.stderr)),
    });
  });
});

describe("publishers that are killed", () => {
  test("leave nothing that outlives the next start, and those that still run lose nothing", async () => {
    const data = store("killed");
    // Holes: reading takes long, and no room.
    const file = join(data, "..", "large.bin");
    writeFileSync(file, "");
    truncateSync(file, 64 * 2 ** 30);
    const begin = async () => {
      const before = names(join(data, "tmp"));
      const child = start(["publish", "-q", "--data-dir", data, file]);
      cleanups.push(() => child.kill("SIGKILL"));
      await eventually("the publisher to write", () => names(join(data, "tmp")).some((name) => !before.includes(name) && names(join(data, "tmp", name)).includes("data")));
      return { child, folder: names(join(data, "tmp")).find((name) => !before.includes(name)) };
    };
    const killed = [];
    for (const signal of ["SIGKILL", "SIGTERM", "SIGINT"]) {
      const { child, folder } = await begin();
      child.kill(signal);
      await child.ended;
      killed.push(folder);
    }
    const living = await begin();
    const hourAgo = Date.now() / 1000 - 3600;
    for (const name of [...killed, living.folder]) utimesSync(join(data, "tmp", name), hourAgo, hourAgo);
    await relay(data);
    await eventually("the relay to tidy up", () => !names(join(data, "tmp")).some((name) => killed.includes(name)));
    attacked({
      room: "store",
      kind: "data",
      name: "publishers that were killed while they wrote",
      spent: "three processes",
      lost: "nothing",
      held: names(join(data, "tmp")).includes(living.folder) && living.child.exitCode === null,
    });
  });
});

describe("the relay's own small files", () => {
  for (const [what, put] of [
    ["pipes", (path) => execFileSync("mkfifo", [path])],
    ["links to a device without end", (path) => symlinkSync("/dev/zero", path)],
    ["links to somebody's file", (path, precious) => symlinkSync(precious, path)],
  ]) {
    test(`that are ${what} are neither waited for nor written through`, async () => {
      const data = store("small");
      const film = noise(50_000, 60);
      const file = join(data, "..", "film.bin");
      const precious = join(data, "..", "precious");
      writeFileSync(file, film);
      writeFileSync(precious, "precious");
      await peeredge(["publish", "-q", "--data-dir", data, file]);
      const noted = names(join(data, "sources"));
      for (const name of noted) {
        unlinkSync(join(data, "sources", name));
        put(join(data, "sources", name), precious);
        put(join(data, "sources", `${name}.new`), precious);
      }
      for (const name of ["relay.url", "relay.admin", "relay.url.new", "key.new"]) put(join(data, name), precious);
      const running = await relay(data);
      const again = await peeredge(["publish", "-q", "--data-dir", data, file], { within: 15_000 });
      const served = await fetched(running.url + pathOf(again.stdout.toString().trim()));
      await running.stop();
      // A key is none of them: it is told, and nothing else is taken for it.
      unlinkSync(join(data, "key"));
      put(join(data, "key"), precious);
      const keyless = await peeredge(["serve", "--bind", "127.0.0.1:0", "--rtc", "false", "--data-dir", data], { within: 15_000 });
      attacked({
        room: "store",
        kind: "data",
        name: `${what} in the place of notes, of the address and of the key`,
        spent: `${noted.length + 5} names`,
        lost: `nothing; ${keyless.stderr.trim().split("\n").at(-1)}`,
        held:
          noted.length === 1 &&
          again.code === 0 &&
          served.status === 200 &&
          same(served.bytes, film) &&
          readFileSync(precious, "utf8") === "precious" &&
          keyless.code === 1 &&
          /key .*(no regular file|too long|not 32 bytes)/.test(keyless.stderr),
      });
    });
  }
});

describe("a full disk", () => {
  test.skipIf(process.getuid() !== 0)("shows in readiness, refuses with a sentence, and is over when it is over", async () => {
    const mount = store("full");
    mkdirSync(mount);
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=12m", "tmpfs", mount]);
    cleanups.push(() => execFileSync("umount", ["-l", mount]));
    const data = join(mount, "data");
    const film = noise(1_000_000, 20);
    const link = await publish(data, "film.bin", film);
    const running = await relay(data);
    const from = folder("source");
    cleanups.push(from.remove);
    writeFileSync(from.at("large.bin"), noise(20_000_000, 21));
    const large = await peeredge(["publish", "--data-dir", data, from.at("large.bin")]);
    // Somebody else fills it.
    try {
      for (let n = 0; ; n++) appendFileSync(join(mount, "filler"), noise(64 << 10));
    } catch (error) {
      expect(error.code).toBe("ENOSPC");
    }
    writeFileSync(from.at("small.bin"), noise(500_000, 22));
    const small = await peeredge(["publish", "--data-dir", data, from.at("small.bin")]);
    const readiness = await fetch(`${running.url}/readyz`);
    const says = await readiness.text();
    const served = await fetched(running.url + pathOf(link));
    rmSync(join(mount, "filler"));
    await eventually("readiness", async () => (await fetch(`${running.url}/readyz`)).ok);
    const later = await peeredge(["publish", "--quiet", "--data-dir", data, from.at("small.bin")]);
    const back = await fetched(running.url + pathOf(later.stdout.toString().trim() || "/c/x"));
    attacked({
      room: "store",
      kind: "data",
      name: "a disk that is full",
      spent: "12 MB",
      lost: "what could not be written, in a sentence",
      held:
        large.code === 1 &&
        /has \d+ left/.test(large.stderr) &&
        small.code === 1 &&
        /space|left/i.test(small.stderr) &&
        readiness.status === 503 &&
        /is full/.test(says) &&
        served.status === 200 &&
        same(served.bytes, film) &&
        later.code === 0 &&
        back.status === 200 &&
        names(join(data, "tmp")).length === 0,
    });
  });
});

describe("publishing", () => {
  test("what is no file, is unreadable or too large is told at once", async () => {
    const data = store("odd");
    const from = folder("odd-files");
    cleanups.push(from.remove);
    execFileSync("mkfifo", [from.at("pipe")]);
    execFileSync("truncate", ["-s", "15T", from.at("huge")]);
    execFileSync("truncate", ["-s", "100M", from.at("sparse")]);
    const publishes = (path, ...more) => peeredge(["publish", "--data-dir", data, path, ...more], { within: 20_000 });
    const [pipe, device, dir, gone, huge] = [await publishes(from.at("pipe")), await publishes("/dev/zero"), await publishes(from.path), await publishes(from.at("gone")), await publishes(from.at("huge"))];
    const sparse = await publishes(from.at("sparse"));
    const blocks = Number(execFileSync("du", ["-sB1", join(data, "contents")]).toString().split("\t")[0]);
    attacked({
      room: "store",
      kind: "data",
      name: "a pipe, a device, a folder, a hole of 15 TB as files to publish",
      spent: "no bytes",
      lost: `nothing; a sparse 100 MB took ${blocks} bytes`,
      held:
        /a pipe/.test(pipe.stderr) &&
        /a device/.test(device.stderr) &&
        /a folder/.test(dir.stderr) &&
        /gone: No such file/.test(gone.stderr) &&
        huge.code === 1 &&
        huge.ms < 5000 &&
        [pipe, device, dir, gone].every((ended) => ended.code === 1 && ended.ms < 5000) &&
        sparse.code === 0 &&
        blocks < 2_000_000,
    });
  });
});

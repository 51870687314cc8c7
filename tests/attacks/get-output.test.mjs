// Where `peeredge get` writes: through devices, pipes and links as curl and cp do, under names that strangers chose, and nothing is left behind.
import { execFileSync, spawn } from "node:child_process";
import { chownSync, existsSync, linkSync, lstatSync, mkdirSync, readFileSync, readlinkSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { PEEREDGE, Relay } from "../browser/relay.mjs";
import { attacked } from "./attack.mjs";
import { folder, names, noise, pathOf, peeredge, publish, same, start } from "./program.mjs";

const FILM = noise(2_000_000, 1);
let relay, link, base;

beforeAll(async () => {
  base = folder("get-output");
  link = await publish(base.at("data"), "film.bin", FILM);
  relay = await Relay.start({ dataDir: base.at("data"), settings: { stun: false } });
  link = relay.url + pathOf(link);
});

afterAll(async () => {
  await relay?.stop();
  base?.remove();
});

function room(name) {
  const path = base.at(name);
  mkdirSync(path);
  return { path, at: (...parts) => join(path, ...parts) };
}

test("devices and pipes are written through and stay what they are", async () => {
  const here = room("special");
  execFileSync("mkfifo", [here.at("pipe")]);
  const reader = spawn("cat", [here.at("pipe")]);
  const read = [];
  reader.stdout.on("data", (bytes) => read.push(bytes));
  const closed = new Promise((resolve) => reader.on("close", resolve));
  const piped = await peeredge(["get", link, "-q", "-o", here.at("pipe")]);
  await closed;
  if (process.getuid() === 0) execFileSync("mknod", [here.at("null"), "c", "1", "3"]);
  else symlinkSync("/dev/null", here.at("null"));
  const nothing = await peeredge(["get", link, "-q", "-o", here.at("null")]);
  const full = await peeredge(["get", link, "-q", "-o", "/dev/full"]);
  const shell = `"${PEEREDGE}" get "${link}" -q -o >(cat > "${here.at("out")}"); sleep 1`;
  execFileSync("bash", ["-c", shell]);
  execFileSync("bash", ["-c", `echo before > "${here.at("log")}"; "${PEEREDGE}" get "${link}" -q -o /dev/stdout >> "${here.at("log")}"`]);
  attacked({
    room: "get",
    kind: "names",
    name: "-o /dev/null, a pipe, /dev/fd/63, /dev/stdout, /dev/full",
    spent: "nothing",
    lost: "nothing",
    held:
      piped.code === 0 &&
      same(Buffer.concat(read), FILM) &&
      lstatSync(here.at("pipe")).isFIFO() &&
      nothing.code === 0 &&
      statSync(here.at("null")).isCharacterDevice() &&
      full.code === 1 &&
      /No space left/.test(full.stderr) &&
      same(readFileSync(here.at("out")), FILM) &&
      same(readFileSync(here.at("log")), Buffer.concat([Buffer.from("before\n"), FILM])) &&
      names(here.path).every((name) => ["log", "null", "out", "pipe"].includes(name)),
  });
});

test("links are followed, rights and other names kept, folders refused", async () => {
  const here = room("links");
  writeFileSync(here.at("real"), "a longer text than nothing", { mode: 0o600 });
  mkdirSync(here.at("elsewhere"));
  symlinkSync("real", here.at("link"));
  symlinkSync(here.at("elsewhere/new"), here.at("dangling"));
  linkSync(here.at("real"), here.at("twin"));
  const got = [];
  for (const name of ["link", "dangling"]) got.push(await peeredge(["get", link, "-q", "-o", here.at(name)]));
  const dir = await peeredge(["get", link, "-q", "-o", here.at("elsewhere")]);
  const slash = await peeredge(["get", link, "-q", "-o", here.at("new/")]);
  const missing = await peeredge(["get", link, "-q", "-o", here.at("missing/file")]);
  attacked({
    room: "get",
    kind: "names",
    name: "links, hard links and folders as output",
    spent: "nothing",
    lost: "nothing",
    held:
      got.every((ended) => ended.code === 0) &&
      readlinkSync(here.at("link")) === "real" &&
      lstatSync(here.at("dangling")).isSymbolicLink() &&
      same(readFileSync(here.at("twin")), FILM) &&
      same(readFileSync(here.at("elsewhere/new")), FILM) &&
      (statSync(here.at("real")).mode & 0o777) === 0o600 &&
      [dir, slash].every((ended) => ended.code === 1 && /is a folder/.test(ended.stderr) && ended.ms < 5000) &&
      missing.code === 1 &&
      names(here.path).join() === "dangling,elsewhere,link,real,twin" &&
      names(here.at("elsewhere")).join() === "new",
  });
});

test.skipIf(process.getuid() !== 0)("a file that may not be written is refused before anything is fetched", async () => {
  const here = room("read-only");
  execFileSync("chmod", ["0777", here.path, base.path]);
  writeFileSync(here.at("file"), "keep me", { mode: 0o444 });
  const wrap = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
  const refused = await peeredge(["get", link, "-q", "-o", here.at("file")], { wrap, cwd: here.path });
  attacked({
    room: "get",
    kind: "names",
    name: "an existing read-only file",
    spent: "nothing",
    lost: "nothing",
    held: refused.code === 1 && /Permission denied/.test(refused.stderr) && readFileSync(here.at("file"), "utf8") === "keep me" && names(here.path).join() === "file",
  });
});

test("names of every length that a file system takes", async () => {
  const here = room("long");
  const lengths = [240, 241, 242, 250, 255];
  const ended = [];
  for (const length of lengths) ended.push(await peeredge(["get", link, "-q", "-o", here.at("n".repeat(length))]));
  const over = await peeredge(["get", link, "-q", "-o", here.at("n".repeat(256))]);
  attacked({
    room: "get",
    kind: "names",
    name: "file names of 240 to 256 bytes",
    spent: "nothing",
    lost: "nothing",
    held: ended.every((one) => one.code === 0) && over.code === 1 && names(here.path).length === lengths.length && same(readFileSync(here.at("n".repeat(255))), FILM),
  });
});

test("names that a publisher chose stay in the folder and show what they are", async () => {
  const here = room("chosen");
  const wanted = [
    ["..", null],
    [".", null],
    ["../../escaped", "escaped"],
    ["/etc/cron.d/job", "job"],
    ["..\\..\\boot.ini", "boot.ini"],
    [".bashrc", "bashrc"],
    ["invoice\u202efdp.exe", "invoicefdp.exe"],
    ["a\u001b[2Jb\n.txt", "a[2Jb.txt"],
    ["CON.txt", "_CON.txt"],
    ["-rf", "_rf"],
    ["trailing. . ", "trailing"],
    ["e\u0301te\u0301", "\u00e9t\u00e9"],
    ["n".repeat(255), "n".repeat(255)],
  ];
  const wrong = [];
  for (const [index, [name, expected]] of wanted.entries()) {
    const file = base.at(`chosen-${index}`);
    writeFileSync(file, noise(1000 + index, 30 + index));
    const published = await peeredge(["publish", "-q", "--name", name, "--data-dir", base.at("data"), file]);
    expect(published.code, published.stderr).toBe(0);
    const its = published.stdout.toString().trim();
    const into = here.at(String(index));
    mkdirSync(into);
    const got = await peeredge(["get", relay.url + pathOf(its), "-q"], { cwd: into });
    const found = names(into);
    const id = its.split("/c/")[1].split("/")[0];
    if (got.code !== 0 || found.length !== 1 || found[0] !== (expected ?? id)) wrong.push([name, found, got.stderr]);
    const header = (await fetch(relay.url + pathOf(its))).headers.get("content-disposition");
    const shown = expected === null ? null : encodeURIComponent(expected).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
    if (shown === null ? header.includes("filename") : !header.endsWith(`''${shown}`)) wrong.push([name, header]);
  }
  attacked({
    room: "get",
    kind: "names",
    name: "names with folders, controls, reversed text, devices and options",
    spent: `${wanted.length} names`,
    lost: wrong.length ? JSON.stringify(wrong) : "nothing",
    held: wrong.length === 0 && !existsSync(base.at("escaped")) && !existsSync(join(base.path, "..", "escaped")),
  });
});

test("a publisher's name never takes the place of a file or a link", async () => {
  const here = room("exists");
  symlinkSync("nowhere", here.at("film.bin"));
  const dangling = await peeredge(["get", link, "-q"], { cwd: here.path });
  rmSync(here.at("film.bin"));
  writeFileSync(here.at("film.bin"), "mine");
  const file = await peeredge(["get", link, "-q"], { cwd: here.path });
  attacked({
    room: "get",
    kind: "names",
    name: "a name that is taken, by a file or a link to nowhere",
    spent: "one name",
    lost: "nothing",
    held: [dangling, file].every((ended) => ended.code === 1 && /film.bin exists/.test(ended.stderr)) && readFileSync(here.at("film.bin"), "utf8") === "mine" && names(here.path).join() === "film.bin",
  });
});

test("a part folder holds only ours, and what else lies there stays", async () => {
  const here = room("part");
  mkdirSync(here.at("film.bin.peeredge-part"));
  writeFileSync(here.at("film.bin.peeredge-part", "thesis.txt"), "years of work");
  const got = await peeredge(["get", link, "-q", "-o", here.at("film.bin")]);
  attacked({
    room: "get",
    kind: "names",
    name: "somebody's files where parts are kept",
    spent: "one folder",
    lost: "nothing",
    held: got.code === 0 && same(readFileSync(here.at("film.bin")), FILM) && names(here.at("film.bin.peeredge-part")).join() === "thesis.txt",
  });
});

test("nobody else's folder, link or pipe is taken for the place of parts", async () => {
  const here = room("foreign");
  writeFileSync(here.at("precious"), "precious");
  const part = (name) => here.at(`${name}.peeredge-part`);
  const get = (name, ...more) => peeredge(["get", link, "-q", "-o", here.at(name), ...more], { within: 20_000 });
  // Left by an earlier run, or by somebody who can write here: what lies under a name of ours is not written through.
  mkdirSync(part("link"));
  symlinkSync(here.at("precious"), join(part("link"), "range"));
  mkdirSync(part("pipe"));
  execFileSync("mkfifo", [join(part("pipe"), "range")]);
  const ours = [await get("link", "--range", "5-104"), await get("pipe", "--range", "5-104")];
  mkdirSync(here.at("elsewhere"));
  symlinkSync("elsewhere", part("away"));
  const others = [await get("away")];
  if (process.getuid() === 0) {
    mkdirSync(part("theirs"));
    chownSync(part("theirs"), 65534, 65534);
    others.push(await get("theirs"));
  }
  attacked({
    room: "get",
    kind: "names",
    name: "links, pipes and folders of others where parts are kept",
    spent: "four names",
    lost: others.at(-1).stderr.trim(),
    held:
      readFileSync(here.at("precious"), "utf8") === "precious" &&
      ours.every((ended) => ended.code === 0) &&
      ["link", "pipe"].every((name) => lstatSync(here.at(name)).isFile() && same(readFileSync(here.at(name)), FILM.subarray(5, 105))) &&
      others.every((ended) => ended.code === 1 && /is no folder of this user's/.test(ended.stderr)) &&
      names(here.at("elsewhere")).length === 0 &&
      !existsSync(here.at("away")) &&
      !existsSync(here.at("theirs")),
  });
});

test("ctrl-C at a pipe that nobody reads ends it at once", async () => {
  const here = room("stuck");
  execFileSync("mkfifo", [here.at("pipe")]);
  const waiting = start(["get", link, "-q", "-o", here.at("pipe")]);
  await new Promise((resolve) => setTimeout(resolve, 1500));
  waiting.kill("SIGINT");
  const began = performance.now();
  const ended = await waiting.ended;
  attacked({
    room: "get",
    kind: "stall",
    name: "a pipe that nobody reads",
    spent: "nothing",
    lost: `${Math.round(performance.now() - began)} ms`,
    held: ended.code === 130 && performance.now() - began < 3000 && names(here.path).join() === "pipe",
  });
});

test.skipIf(process.getuid() !== 0)("no space for the output is told as it is found, not at the end", async () => {
  const here = room("no-space");
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=6m", "tmpfs", here.path]);
  try {
    const large = await publish(base.at("data"), "large.bin", noise(40_000_000, 2));
    const got = await peeredge(["get", relay.url + pathOf(large), "-q", "-o", here.at("large.bin")]);
    attacked({
      room: "get",
      kind: "data",
      name: "output on a full disk",
      spent: "6 MB",
      lost: "the download, in a sentence",
      held: got.code === 1 && /could not be written|No space/.test(got.stderr) && !existsSync(here.at("large.bin")),
    });
  } finally {
    execFileSync("umount", ["-l", here.path]);
  }
});

test.skipIf(process.getuid() !== 0)("a disk that fills up while an existing file is written costs nothing of that file", async () => {
  const here = room("in-place");
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=13m", "tmpfs", here.path]);
  try {
    // A file with another name is written, not replaced.
    writeFileSync(here.at("old"), noise(1_000_000, 3));
    linkSync(here.at("old"), here.at("twin"));
    const large = await publish(base.at("data"), "eight.bin", noise(8_000_000, 4));
    const got = await peeredge(["get", relay.url + pathOf(large), "-q", "-o", here.at("old")]);
    const kept = same(readFileSync(here.at("twin")), noise(1_000_000, 3));
    attacked({
      room: "get",
      kind: "data",
      name: "a full disk while a file with two names is written",
      spent: "13 MB",
      lost: kept ? "nothing" : "the old file",
      held: got.code === 1 && /No space/.test(got.stderr) && kept && statSync(here.at("old")).nlink === 2,
    });
  } finally {
    execFileSync("umount", ["-l", here.path]);
  }
});

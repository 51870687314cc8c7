// The packed tarball, as strangers use it: with a bundler, without one, under a strict policy, from TypeScript.
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as esbuild from "esbuild";
import { expect, test } from "vitest";
import { build as viteBuild } from "vite";
import { ROOT } from "../../scripts/lib/run.mjs";
import { Stage, packedPackage, temporaryFolder } from "./harness.mjs";

const MAIN = `
import { createPeer } from "peeredge";
window.trial = async (options) => {
  const peer = await createPeer({ relay: "http://127.0.0.1:59999", consent: "granted", ...options });
  const { link } = await peer.publish(new Blob(["a stranger's bytes"]), { name: "a.txt", type: "text/plain" });
  const response = await peer.fetch(link);
  const result = { text: await response.text(), type: response.headers.get("content-type"), ...(await peer.stats()) };
  await peer.close();
  return { text: result.text, type: result.type, engine: result.engine, store: result.store };
};
window.ready = true;
`;
const HTML = `<!doctype html><meta charset="utf-8" /><link rel="icon" href="data:," /><script type="module" src="SCRIPT"></script>`;

const IN_WORKER = { text: "a stranger's bytes", type: "text/plain; charset=utf-8", engine: "worker", store: "opfs" };
const IN_PAGE = { ...IN_WORKER, engine: "page", store: "memory" };

/** A folder in which `npm install` of the tarball was done. */
function project() {
  const folder = temporaryFolder("stranger");
  cpSync(packedPackage(), join(folder, "node_modules/peeredge"), { recursive: true });
  writeFileSync(join(folder, "package.json"), `{"type":"module"}`);
  writeFileSync(join(folder, "main.js"), MAIN);
  return folder;
}

/** Opens a served folder's page and tries the engine in the worker and in the page. */
async function expectWorks(pages, path, headers = {}) {
  const stage = await Stage.open({ relay: false, pages, headers });
  try {
    const page = await (await stage.browser.newContext()).newPage();
    await page.goto(new URL(path, stage.site.url).href);
    await page.waitForFunction(() => window.ready, null, { timeout: 20_000 });
    expect(await page.evaluate(() => window.trial({}))).toEqual(IN_WORKER);
    expect(await page.evaluate(() => window.trial({ worker: false }))).toEqual(IN_PAGE);
  } finally {
    await stage.close();
  }
}

test("vite bundles it", async () => {
  const folder = project();
  writeFileSync(join(folder, "index.html"), HTML.replace("SCRIPT", "/main.js"));
  await viteBuild({ root: folder, configFile: false, logLevel: "error" });
  expect(readdirSync(join(folder, "dist/assets")).filter((name) => name.endsWith(".wasm"))).toHaveLength(2);
  await expectWorks(join(folder, "dist"), "/index.html");
});

test("esbuild bundles it, with the worker as an entry of its own", async () => {
  const folder = project();
  await esbuild.build({
    absWorkingDir: folder,
    entryPoints: { main: "main.js", worker: "peeredge/worker" },
    bundle: true,
    format: "esm",
    splitting: true,
    outdir: "out",
    logLevel: "error",
  });
  cpSync(join(folder, "node_modules/peeredge/dist/peeredge_bg.wasm"), join(folder, "out/peeredge_bg.wasm"));
  writeFileSync(join(folder, "out/index.html"), HTML.replace("SCRIPT", "main.js"));
  await expectWorks(join(folder, "out"), "/index.html");
});

test("a bare browser loads it, under a strict content security policy", async () => {
  const folder = temporaryFolder("bare");
  writeFileSync(join(folder, "main.js"), MAIN.replace(`"peeredge"`, `"/peeredge/dist/index.js"`));
  writeFileSync(join(folder, "index.html"), HTML.replace("SCRIPT", "main.js"));
  const policy = "default-src 'self' data:; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self' ws: http:";
  await expectWorks(folder, "/index.html", { "content-security-policy": policy });
});

test("an engine that cannot be loaded is a typed error, and leaves no worker", async () => {
  const stage = await Stage.open({ relay: false });
  try {
    const context = await stage.browser.newContext();
    await context.route("**/*.wasm", (route) => route.fulfill({ status: 404 }));
    const tab = await stage.tab({ context });
    const error = await tab.create().catch(({ message }) => message);
    expect(error).toMatch("the engine cannot be loaded");
    expect(tab.workers()).toBe(0);
  } finally {
    await stage.close();
  }
});

test("TypeScript reads its types, strictly and without skipping libraries", () => {
  const folder = project();
  const use = `
    import { hlsLoader, watchPlayback } from "peeredge/hls";
    import { serveThroughPeer, type Routing } from "peeredge/sw/register";
    import { createPeer, PeerEdgeError, type ErrorCode, type Peer, type Published } from "peeredge";
    export async function use(file: File): Promise<Published> {
      const peer: Peer = await createPeer({ relay: "https://relay.example", consent: "pending", caps: { connections: 4 } });
      peer.addEventListener("blame", ({ detail }) => console.log(detail.peer.length, detail.block + 1));
      peer.addEventListener("progress", ({ detail }) => console.log(detail.contents[0]?.blocks.length));
      // @ts-expect-error: there is no such event
      peer.addEventListener("nothing", () => {});
      // @ts-expect-error: there is no such cap
      peer.setCaps({ uploadRate: 1 });
      await peer.setConsent("granted");
      const routing: Routing = await serveThroughPeer(peer, { routes: { "/film.mp4": "peeredge:x" } });
      console.log(routing.counts.answered + 1);
      const response: Response = await peer.fetch("peeredge:x", { range: { last: 5 } }).catch((error: unknown) => {
        const code: ErrorCode | null = error instanceof PeerEdgeError ? error.code : null;
        throw new Error(code ?? "other");
      });
      return peer.publish(file, { onProgress: ({ doneBytes }) => console.log(doneBytes, response.status) });
    }
  `;
  writeFileSync(join(folder, "use.ts"), use);
  for (const resolution of ["bundler", "nodenext"]) {
    const module = resolution === "bundler" ? "esnext" : "nodenext";
    const options = ["--strict", "--noEmit", "--target", "es2022", "--lib", "es2022,dom,dom.iterable", "--types", ""];
    const args = [...options, "--module", module, "--moduleResolution", resolution, "use.ts"];
    execFileSync(process.execPath, [join(ROOT, "node_modules/typescript/bin/tsc"), ...args], { cwd: folder, stdio: "pipe", encoding: "utf8" });
  }
});

test("the tarball holds the package and nothing else", () => {
  const names = readdirSync(packedPackage()).sort();
  expect(names.filter((name) => !["LICENSE", "LICENSE-APACHE", "LICENSE-MIT", "README.md", "dist", "package.json"].includes(name))).toEqual([]);
  const types = readdirSync(join(packedPackage(), "dist"), { recursive: true }).filter((name) => name.endsWith(".d.ts"));
  expect(types.sort()).toEqual(["errors.d.ts", "hls/index.d.ts", "index.d.ts", "sw/register.d.ts", "sw/worker.d.ts", "types.d.ts"]);
  expect(existsSync(join(packedPackage(), "dist/peeredge_bg.wasm"))).toBe(true);
});

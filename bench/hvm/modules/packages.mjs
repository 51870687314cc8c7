// What is done with each package: its own API, on fixed input. Each entry is one process.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";

const require = createRequire(import.meta.url);
const data = Uint8Array.from({ length: 100_000 }, (_, index) => (index * 2_654_435_761) >>> 13);
const text = readFileSync(new URL(import.meta.url), "utf8");
const key = data.slice(0, 16);

const HASHES = ["adler32", "blake2b", "blake2s", "blake3", "crc32", "crc64", "keccak", "md4", "md5", "ripemd160", "sha1", "sha224", "sha256", "sha3", "sha384", "sha512", "sm3", "whirlpool", "xxhash32", "xxhash64", "xxhash3", "xxhash128"];

export const PACKAGES = {
  ...Object.fromEntries(HASHES.map((name) => [`hash-wasm/${name}`, async () => {
    const hash = await import("hash-wasm");
    await hash[name](data);
    const create = hash[`create${{ crc32: "CRC32", crc64: "CRC64", md4: "MD4", md5: "MD5", sm3: "SM3", ripemd160: "RIPEMD160" }[name] ?? name.replace(/^xxhash/, "XXHash").replace(/^sha/, "SHA").replace(/^[a-z]/, (c) => c.toUpperCase()).replace("Blake", "BLAKE")}`];
    const stream = await create?.();
    stream?.init().update(data.slice(0, 1_000)).update("text").digest();
  }])),
  "hash-wasm/argon2id": async () => (await import("hash-wasm")).argon2id({ password: "secret", salt: key, parallelism: 1, iterations: 2, memorySize: 256, hashLength: 32 }),
  "hash-wasm/bcrypt": async () => (await import("hash-wasm")).bcrypt({ password: "secret", salt: key, costFactor: 5 }),
  "hash-wasm/scrypt": async () => (await import("hash-wasm")).scrypt({ password: "secret", salt: key, costFactor: 64, blockSize: 8, parallelism: 1, hashLength: 32 }),
  "xxhash-wasm": async () => {
    const { h32, h64, h64Raw } = await (await import("xxhash-wasm")).default();
    h32(text), h64(text), h64Raw(data);
  },
  "es-module-lexer": async () => {
    const { init, parse } = await import("es-module-lexer");
    await init;
    parse(text);
  },
  "cjs-module-lexer": async () => {
    const { init, parse } = await import("cjs-module-lexer");
    await init();
    parse("exports.a = 1; Object.defineProperty(exports, 'b', { value: 2 }); module.exports = require('./c'); " + "exports.d = e; ".repeat(500));
  },
  "meshoptimizer/decoder+encoder": async () => {
    const { MeshoptDecoder, MeshoptEncoder } = await import("meshoptimizer");
    await Promise.all([MeshoptDecoder.ready, MeshoptEncoder.ready]);
    const vertices = data.slice(0, 16 * 500);
    const encoded = MeshoptEncoder.encodeVertexBuffer(vertices, 500, 16);
    MeshoptDecoder.decodeVertexBuffer(new Uint8Array(16 * 500), 500, 16, encoded);
  },
  "meshoptimizer/simplifier": async () => {
    const { MeshoptSimplifier } = await import("meshoptimizer");
    await MeshoptSimplifier.ready;
    const n = 30;
    const positions = Float32Array.from({ length: n * n * 3 }, (_, i) => [(i / 3 | 0) % n, (i / 3 / n) | 0, Math.sin(i)][i % 3]);
    const indices = Uint32Array.from({ length: (n - 1) * (n - 1) * 6 }, (_, i) => {
      const cell = (i / 6) | 0;
      const base = ((cell / (n - 1)) | 0) * n + (cell % (n - 1));
      return base + [0, 1, n, 1, n + 1, n][i % 6];
    });
    MeshoptSimplifier.simplify(indices, positions, 3, 600, 0.1);
  },
  "meshoptimizer/clusterizer": async () => {
    const { MeshoptClusterizer } = await import("meshoptimizer");
    await MeshoptClusterizer.ready;
    const positions = Float32Array.from({ length: 300 }, (_, i) => Math.cos(i) * 10);
    MeshoptClusterizer.buildMeshlets(Uint32Array.from({ length: 294 }, (_, i) => ((i / 3) | 0) + (i % 3)), positions, 3, 32, 32);
  },
  long: async () => {
    const Long = (await import("long")).default;
    let n = Long.fromString("1234567890123456789");
    for (let i = 1; i < 200; i++) n = n.mul(Long.fromInt(i * 7_919)).div(Long.fromInt(i + 2)).add(n.mod(Long.fromInt(i * 31)));
  },
  "as-sha256": async () => {
    const module = await import("@chainsafe/as-sha256");
    const digest = module.digest ?? module.default?.digest ?? module.default;
    digest(data.slice(0, 5_000));
  },
  "source-map": async () => {
    const { SourceMapConsumer, SourceMapGenerator } = require("source-map");
    const generator = new SourceMapGenerator({ file: "a.js" });
    for (let i = 1; i < 200; i++) generator.addMapping({ generated: { line: i, column: i % 40 }, original: { line: i * 2, column: i % 30 }, source: "a.ts", name: `n${i % 9}` });
    const consumer = await new SourceMapConsumer(generator.toString());
    consumer.originalPositionFor({ line: 50, column: 10 });
    consumer.allGeneratedPositionsFor({ source: "a.ts", line: 20, column: 10 });
    consumer.destroy();
  },
  "lz4-wasm": async () => {
    const lz4 = require("lz4-wasm-nodejs");
    lz4.decompress(lz4.compress(new TextEncoder().encode(text)));
  },
  "brotli-dec-wasm": async () => {
    const { brotliCompressSync } = await import("node:zlib");
    const brotli = await import("brotli-dec-wasm");
    const module = await (brotli.default ?? brotli);
    module.decompress(new Uint8Array(brotliCompressSync(text)));
  },
  zstd: async () => {
    const zstd = await import("@bokuweb/zstd-wasm");
    await zstd.init();
    zstd.decompress(zstd.compress(new TextEncoder().encode(text), 3));
  },
  "wasm-flate": async () => {
    const folder = dirname(require.resolve("wasm-flate/package.json"));
    const glue = readFileSync(join(folder, "wasm_flate.js"), "utf8");
    if (!glue) throw new Error("no glue");
    const flate = await import("wasm-flate");
    flate.gzip_encode_raw?.(data);
  },
  llhttp: async () => {
    const folder = dirname(require.resolve("undici/package.json"));
    const source = require(join(folder, "lib/llhttp/llhttp-wasm.js"));
    const none = () => 0;
    const names = ["wasm_on_url", "wasm_on_status", "wasm_on_message_begin", "wasm_on_header_field", "wasm_on_header_value", "wasm_on_headers_complete", "wasm_on_body", "wasm_on_message_complete"];
    const module = new WebAssembly.Module(Buffer.isBuffer(source) ? source : Buffer.from(source, "base64"));
    const { exports } = new WebAssembly.Instance(module, { env: Object.fromEntries(names.map((name) => [name, none])) });
    const message = Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: 5\r\n${"X-Header: some value\r\n".repeat(40)}\r\nhello`);
    const parser = exports.llhttp_alloc(2);
    const at = exports.malloc(message.length);
    new Uint8Array(exports.memory.buffer, at, message.length).set(message);
    exports.llhttp_execute(parser, at, message.length);
  },
  quickjs: async () => {
    const { newQuickJSWASMModule } = await import("quickjs-emscripten");
    const vm = (await newQuickJSWASMModule()).newContext();
    const result = vm.evalCode("let s = 0; for (let i = 0; i < 20000; i++) s += i % 7; JSON.stringify({ s, t: [1,2,3].map(x => x / 3) })");
    vm.dump(result.value ?? result.error);
  },
};

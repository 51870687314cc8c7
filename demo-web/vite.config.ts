import { defineConfig } from "vite";

/** Where `vite dev` finds a relay; the built page is served by one. */
const RELAY = process.env["PEEREDGE_RELAY"] ?? "http://127.0.0.1:8080";

export default defineConfig({
  build: {
    target: "es2022",
    // The relay's content security policy allows scripts and styles from files only.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  worker: { format: "es" },
  // The package finds its worker and its wasm beside its own files.
  optimizeDeps: { exclude: ["peeredge"] },
  server: {
    proxy: {
      ...Object.fromEntries(["/c/", "/m/", "/r/", "/api/"].map((path) => [path, RELAY])),
      "/ws": { target: RELAY, ws: true },
    },
  },
});

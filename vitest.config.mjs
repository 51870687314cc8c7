import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    projects: [
      { test: { name: "unit", include: ["tests/browser/unit/**/*.test.ts", "demo-web/test/**/*.test.ts"], environment: "node" } },
      {
        // Strangers against the real relay and real pages.
        test: {
          name: "attacks",
          include: ["tests/attacks/**/*.test.mjs"],
          environment: "node",
          fileParallelism: false,
          testTimeout: 180_000,
          hookTimeout: 300_000,
        },
      },
      {
        test: {
          name: "browser",
          include: ["tests/browser/*.test.mjs", "tests/browser/flows/*.test.mjs", "demo-web/test/*.test.mjs"],
          environment: "node",
          // Each file has a relay and a Chromium of its own, and two cores have enough to do with one.
          fileParallelism: false,
          testTimeout: 180_000,
          hookTimeout: 300_000,
        },
      },
    ],
  },
});

import { describe, expect, test } from "vitest";
import { effectiveCaps, mergeCaps, settle } from "../../../js/src/options.js";
import type { PeerOptions } from "../../../js/src/types.js";

const given: PeerOptions = { relay: "https://relay.example", consent: "granted" };
const refused = (options: object) =>
  expect(() => settle({ ...given, ...options } as PeerOptions)).toThrow(expect.objectContaining({ code: "invalid_option" }));

describe("options", () => {
  test("the relay is an origin", () => {
    expect(settle({ ...given, relay: new URL("http://127.0.0.1:8080/") }).relay).toBe("http://127.0.0.1:8080");
    for (const relay of ["", "relay.example", "ws://relay.example", "https://relay.example/path", "https://u@relay.example", 7]) {
      refused({ relay });
    }
  });

  test("what is not known or not right is refused, and named", () => {
    refused({ consent: "yes" });
    refused({ consent: undefined });
    refused({ caps: { uploadRate: 1 } });
    refused({ caps: { connections: 1.5 } });
    refused({ caps: { uploadBytes: -1 } });
    refused({ caps: { upload: "yes" } });
    refused({ store: { kind: "disk" } });
    refused({ store: { bytes: NaN } });
    refused({ tuning: { codedPermille: 1001 } });
    expect(() => settle({ ...given, caps: { connections: 99 } })).toThrow(/caps\.connections/);
  });

  test("undefined leaves what was there", () => {
    const { caps } = settle({ ...given, caps: { connections: 4 } });
    expect(mergeCaps(caps, { upload: false }).connections).toBe(4);
    expect(mergeCaps(caps, { connections: undefined } as object).connections).toBe(4);
  });
});

describe("conditions", () => {
  const { caps } = settle(given);
  const may = (over: object, metered: boolean, lowBattery: boolean) =>
    effectiveCaps(mergeCaps(caps, over), { metered, lowBattery }).upload;

  test("stop uploads unless the visitor allowed them", () => {
    expect(may({}, false, false)).toBe(true);
    expect(may({}, true, false)).toBe(false);
    expect(may({}, false, true)).toBe(false);
    expect(may({ uploadOnMetered: true }, true, false)).toBe(true);
    expect(may({ uploadOnMetered: true }, true, true)).toBe(false);
    expect(may({ uploadOnMetered: true, uploadOnLowBattery: true }, true, true)).toBe(true);
    expect(may({ upload: false, uploadOnMetered: true, uploadOnLowBattery: true }, false, false)).toBe(false);
  });
});

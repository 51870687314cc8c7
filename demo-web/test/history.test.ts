import { describe, expect, it } from "vitest";
import { History, stackedAreas, topOf } from "../src/history.ts";

const moment = (atMs: number, peers: number, relay = 0, http = 0) => ({ atMs, peers, relay, http });

describe("the last minute", () => {
  it("forgets what is older, but for one moment", () => {
    const history = new History(1000);
    for (let at = 0; at <= 5000; at += 250) history.note(moment(at, at));
    expect(history.moments.map(({ atMs }) => atMs)).toEqual([3750, 4000, 4250, 4500, 4750, 5000]);
  });

  it("stacks the sources, the present at the right edge", () => {
    const areas = stackedAreas([moment(0, 10, 5, 5), moment(1000, 0, 10, 0)], 1000, 1000, 100, 40, 20);
    expect(areas).toEqual({
      peers: "M0.0 20.0L100.0 40.0L100.0 40.0L0.0 40.0Z",
      relay: "M0.0 10.0L100.0 20.0L100.0 40.0L0.0 20.0Z",
      http: "M0.0 0.0L100.0 20.0L100.0 20.0L0.0 10.0Z",
    });
    expect(stackedAreas([moment(0, 1)], 0, 1000, 100, 40, 20).peers).toBe("");
  });

  it("has a round top that nothing exceeds", () => {
    expect(topOf([])).toBe(1e6);
    expect(topOf([moment(0, 1e6, 1)])).toBe(2e6);
    expect(topOf([moment(0, 4e6, 1e6)])).toBe(5e6);
    expect(topOf([moment(0, 7.2e6)])).toBe(10e6);
  });
});

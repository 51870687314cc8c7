import { expect, test } from "vitest";
import { selectedPair } from "../../../js/src/connections.js";

const pair = (id: string, nominated = true) => ({ id, type: "candidate-pair", nominated, currentRoundTripTime: 0.04 });
const report = (...entries: { id: string }[]) => new Map(entries.map((entry) => [entry.id, entry])) as unknown as RTCStatsReport;

test("of several nominated pairs the one that carries the data is looked at, wherever it stands in the report", () => {
  const transport = { id: "T", type: "transport", selectedCandidatePairId: "A" };
  expect(selectedPair(report(pair("A"), pair("B"), transport))?.id).toBe("A");
  expect(selectedPair(report(transport, pair("B"), pair("A")))?.id).toBe("A");
});

test("a browser that does not say which has the nominated one, and none before one is", () => {
  expect(selectedPair(report(pair("A", false), pair("B"), { id: "T", type: "transport" } as { id: string }))?.id).toBe("B");
  expect(selectedPair(report(pair("A", false)))).toBeUndefined();
  expect(selectedPair(report())).toBeUndefined();
});

import type { Conditions } from "./options.js";

/** Parts of these two interfaces that TypeScript's DOM library lacks; many browsers lack them, too. */
interface NetworkInformation extends EventTarget {
  readonly saveData?: boolean;
  readonly type?: string;
}
interface BatteryManager extends EventTarget {
  readonly charging: boolean;
  readonly level: number;
}
interface WithConditions {
  readonly connection?: NetworkInformation;
  getBattery?(): Promise<BatteryManager>;
}

const LOW_BATTERY = 0.2;

/** Watches what the browser tells of the connection and the battery. Gives what ends the watch. */
export function watchConditions(changed: (conditions: Conditions) => void): () => void {
  const { connection, ...rest } = pick(navigator as WithConditions);
  let battery: BatteryManager | null = null;
  let ended = false;
  const report = () =>
    changed({
      metered: connection?.saveData === true || connection?.type === "cellular",
      lowBattery: battery !== null && !battery.charging && battery.level < LOW_BATTERY,
    });
  connection?.addEventListener("change", report);
  rest.getBattery?.().then(
    (found) => {
      if (ended) return;
      battery = found;
      for (const name of ["levelchange", "chargingchange"]) found.addEventListener(name, report);
      report();
    },
    () => undefined,
  );
  report();
  return () => {
    ended = true;
    connection?.removeEventListener("change", report);
    for (const name of ["levelchange", "chargingchange"]) battery?.removeEventListener(name, report);
  };
}

function pick(from: WithConditions): WithConditions {
  const picked: { connection?: NetworkInformation; getBattery?: () => Promise<BatteryManager> } = {};
  if (from.connection) picked.connection = from.connection;
  if (from.getBattery) picked.getBattery = () => from.getBattery?.() ?? Promise.reject(new Error("no battery"));
  return picked;
}

import type { ErrorCode } from "peeredge";

/** An error in a visitor's words, and its stable code. */
export interface Problem {
  code: string;
  title: string;
  advice: string;
}

const WORDS: Record<ErrorCode, [title: string, advice: string]> = {
  unsupported: ["This browser cannot take part", "It lacks WebAssembly, WebSocket or WebRTC. A current Firefox, Chrome, Edge or Safari has them."],
  consent_required: ["Sharing is off", "You have not agreed, or have withdrawn. Turn sharing on again to go on."],
  aborted: ["Stopped", "You or this page ended it. Start it again whenever you like."],
  closed: ["This tab's peer is closed", "Reload the page to start a new one."],
  invalid_option: ["The name or type of this file is too long", "Rename it to something shorter and drop it again."],
  invalid_link: ["That is not a PeerEdge link", "A link looks like peeredge:… or https://relay/c/…, with 52 letters and digits."],
  unavailable: ["Nobody has these bytes right now", "No visitor, relay or server answered in time. Open the tab that shared the file, then try again."],
  live_forked: ["This broadcast contradicts itself", "Its publisher has signed two lists that do not fit, so it was ended here."],
  manifest_invalid: ["What was offered does not match the link", "Every holder's description of this file contradicts it, so nothing was accepted. Check the link."],
  blocks_too_large: ["This link cannot be opened here", "Its file is cut into larger pieces than a page is to hold at once. Ask for another link."],
  unreadable: ["The file cannot be read", "It may have been moved, changed or removed meanwhile. Choose it once more."],
  storage: ["This browser's storage cannot be used", "Private windows and full disks are the usual reasons."],
  task_refused: ["This is no task", "The module asks for something that a task must not have."],
  task_failed: ["The task ended in an error", "It trapped, or met one of its limits, on every device in the same way."],
  task_trouble: ["Nobody could run the task", "Those who took it lacked the memory or the bytes."],
  task_limits: ["The task asks for more than is allowed", "Its input is larger than its memory, or its limits are beyond this relay's."],
  nobody_fits: ["Nobody here has so much memory", "Try again when more visitors compute, or with less memory."],
  tasks_not_allowed: ["This relay runs no tasks for this page", "Its operator says which pages may hand tasks in."],
  task_quota: ["Enough tasks for now", "This network has had as many as the relay allows in an hour."],
  task_disputed: ["The answers contradict each other", "Somebody lies, and nobody could decide."],
  tasks_off: ["This relay runs no tasks", "Its operator has turned them off."],
  too_many_tasks: ["Too many tasks wait already", "Try again when some are done."],
  no_worker: ["Nobody computes right now", "Open another tab and agree to compute there, then try again."],
  internal: ["The engine stopped", "This is a defect. Everything was closed; reload the page to start anew."],
};

export function problemOf(error: unknown): Problem {
  const code = typeof error === "object" && error !== null && "code" in error ? error.code : null;
  if (typeof code === "string" && code in WORDS) {
    const [title, advice] = WORDS[code as ErrorCode];
    return { code, title, advice };
  }
  const message = error instanceof Error ? error.message : String(error);
  return { code: error instanceof Error ? error.name : "unknown", title: "Something went wrong", advice: message };
}

/**
 * Chromium makes no peer connection while 500 are in a process, and those count that are closed, until its garbage collection
 * comes by: half a minute later in a page that does little else, and never while it makes 500 in a few seconds. Frames of their
 * own change nothing, as they share the process. So they are counted here until they are gone indeed, and garbage collection is
 * asked for, in the one way that a page has: memory, which is never touched and so never taken from the device.
 */
export const HELD_MAX = 400;
const PRESS_ABOVE_CLOSED = 64;
const PRESS_EVERY_MS = 1_000;
const PRESS_BUFFER_BYTES = 64 << 20;
const PRESS_BUFFERS = 8;

/** Connections of this page that exist or are not collected yet. */
let held = 0;
let closed = 0;
let pressedMs = -Infinity;
let timer: ReturnType<typeof setTimeout> | undefined;

const registry = new FinalizationRegistry<() => void>((gone) => {
  held -= 1;
  closed -= 1;
  gone();
});

/** Makes a connection; none when the browser holds too many. `gone` is told when it has let go of it, after {@link release}. */
export function make(configuration: RTCConfiguration, gone: () => void): RTCPeerConnection | null {
  if (held >= HELD_MAX) {
    press();
    return null;
  }
  try {
    const rtc = new RTCPeerConnection(configuration);
    held += 1;
    registry.register(rtc, gone);
    return rtc;
  } catch {
    // Other scripts of the page make them, too.
    press();
    return null;
  }
}

/** Closes a connection that {@link make} gave, and that nothing refers to any more. */
export function release(rtc: RTCPeerConnection): void {
  rtc.close();
  closed += 1;
  if (closed > PRESS_ABOVE_CLOSED) press();
}

function press(): void {
  if (timer !== undefined) return;
  const waitMs = Math.max(0, pressedMs + PRESS_EVERY_MS - performance.now());
  timer = setTimeout(() => {
    timer = undefined;
    pressedMs = performance.now();
    const buffers: ArrayBuffer[] = [];
    try {
      for (let at = 0; at < PRESS_BUFFERS; at++) buffers.push(new ArrayBuffer(PRESS_BUFFER_BYTES));
    } catch {
      // A device that has no room for them is collecting already.
    }
  }, waitMs);
}

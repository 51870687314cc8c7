// Runs in a page: plain downloads, and a player that reads a stream as fast as it plays it.

/** Milliseconds and bytes of a whole download. */
export async function download(url) {
  const began = performance.now();
  const response = await fetch(url);
  const reader = response.body.getReader();
  let bytes = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    bytes += value.byteLength;
  }
  return { ms: performance.now() - began, bytes };
}

/**
 * Plays a link with the harness's peer at so many bytes a second, once `startBytes` are there, reading at most `aheadBytes` ahead.
 * Gives the milliseconds to the start, how often it stood still afterwards, and for how long.
 */
export async function stream({ link, bytesPerSecond, startBytes, aheadBytes }) {
  const began = performance.now();
  const response = await harness.peer().fetch(link, { bytesPerSecond });
  const length = Number(response.headers.get("content-length"));
  const reader = response.body.getReader();
  const state = { read: 0, startMs: null, stalls: 0, stalledMs: 0 };
  let clock = null;
  const played = () => (clock === null ? 0 : ((performance.now() - clock) * bytesPerSecond) / 1000);
  while (state.read < length) {
    const { done, value } = await reader.read();
    if (done) break;
    state.read += value.byteLength;
    if (clock === null) {
      if (state.read < Math.min(startBytes, length)) continue;
      clock = performance.now();
      state.startMs = clock - began;
      continue;
    }
    // What comes after it was due stops the picture until then.
    const lateMs = ((played() - (state.read - value.byteLength)) / bytesPerSecond) * 1000;
    if (lateMs > 100) {
      state.stalls += 1;
      state.stalledMs += lateMs;
      clock += lateMs;
    }
    const aheadMs = ((state.read - played() - aheadBytes) / bytesPerSecond) * 1000;
    if (aheadMs > 0) await new Promise((resolve) => setTimeout(resolve, aheadMs));
  }
  return state;
}

// Runs in a page: one end of a bare data channel, the yardstick for what this browser's own transport carries on a path, in tests and
// benchmarks.
const QUEUE_BYTES_MAX = 2 << 20;
const QUEUE_BYTES_LOW = 1 << 20;

let connection = null;
let channel = null;

/** `options` are those of `createDataChannel`. */
export function open(options = {}) {
  connection = new RTCPeerConnection();
  channel = connection.createDataChannel("raw", { negotiated: true, id: 0, ...options });
  channel.binaryType = "arraybuffer";
  channel.bufferedAmountLowThreshold = QUEUE_BYTES_LOW;
}

/** Makes an offer, or an answer to one; resolves with all candidates in it. */
export async function describe(offer) {
  if (offer) await connection.setRemoteDescription(offer);
  await connection.setLocalDescription();
  while (connection.iceGatheringState !== "complete") {
    await new Promise((resolve) => (connection.onicegatheringstatechange = resolve));
  }
  return { type: connection.localDescription.type, sdp: connection.localDescription.sdp };
}

export const accept = (answer) => connection.setRemoteDescription(answer);

export async function opened() {
  if (channel.readyState !== "open") await new Promise((resolve) => (channel.onopen = resolve));
}

/** Sends messages of this length until the channel closes. */
export async function flood(messageBytes) {
  const message = new Uint8Array(messageBytes);
  while (channel.readyState === "open") {
    if (channel.bufferedAmount > QUEUE_BYTES_MAX) await new Promise((resolve) => (channel.onbufferedamountlow = resolve));
    else channel.send(message);
  }
}

/** Bytes a second of whole messages over `ms`, after a first `warmUpMs`. */
export function rate(warmUpMs, ms) {
  let began = null;
  let bytes = 0;
  return new Promise((resolve) => {
    let from = Infinity;
    let until = Infinity;
    channel.onmessage = ({ data }) => {
      const now = performance.now();
      if (began === null) {
        began = now;
        [from, until] = [began + warmUpMs, began + warmUpMs + ms];
        setTimeout(() => resolve((bytes * 1000) / ms), warmUpMs + ms);
      }
      if (now >= from && now < until) bytes += data.byteLength;
    };
  });
}

let bytesCounted = 0;

/** Counts the bytes of whole messages from now on. */
export function count() {
  channel.onmessage = ({ data }) => (bytesCounted += data.byteLength);
}

export const counted = () => bytesCounted;

/** Milliseconds to the last of `length` bytes, from the asking. */
export function receive(length) {
  const began = performance.now();
  let received = 0;
  return new Promise((resolve) => {
    channel.onmessage = ({ data }) => {
      received += data.byteLength;
      if (received >= length) resolve(performance.now() - began);
    };
    channel.send("go");
  });
}

/** Sends so many bytes whenever the other end asks. */
export function serve(length, messageBytes) {
  const message = new Uint8Array(messageBytes);
  channel.onmessage = async () => {
    for (let at = 0; at < length; at += messageBytes) {
      if (channel.bufferedAmount > QUEUE_BYTES_MAX) await new Promise((resolve) => (channel.onbufferedamountlow = resolve));
      channel.send(message.subarray(0, Math.min(messageBytes, length - at)));
    }
  };
}

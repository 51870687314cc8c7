// Runs in a page: one end of a bare data channel, the yardstick for what this browser can move on this machine.
const MESSAGE_BYTES = 16 << 10;
const QUEUE_BYTES_MAX = 2 << 20;
const QUEUE_BYTES_LOW = 1 << 20;

let connection = null;
let channel = null;

export function open() {
  connection = new RTCPeerConnection();
  channel = connection.createDataChannel("raw", { negotiated: true, id: 0 });
  channel.binaryType = "arraybuffer";
  channel.bufferedAmountLowThreshold = QUEUE_BYTES_LOW;
}

/** Makes an offer, or an answer to one; resolves with all candidates in it. */
export async function describe(offer) {
  if (offer) await connection.setRemoteDescription(offer);
  await connection.setLocalDescription();
  if (connection.iceGatheringState !== "complete") {
    await new Promise((resolve) => {
      connection.onicegatheringstatechange = () => connection.iceGatheringState === "complete" && resolve();
    });
  }
  return { type: connection.localDescription.type, sdp: connection.localDescription.sdp };
}

export const accept = (answer) => connection.setRemoteDescription(answer);

export async function opened() {
  if (channel.readyState !== "open") await new Promise((resolve) => (channel.onopen = resolve));
}

/** Sends so many bytes whenever the other end asks. */
export function serve(length) {
  const bytes = new Uint8Array(length);
  channel.onmessage = async () => {
    for (let at = 0; at < length; at += MESSAGE_BYTES) {
      if (channel.bufferedAmount > QUEUE_BYTES_MAX) {
        await new Promise((resolve) => (channel.onbufferedamountlow = resolve));
      }
      channel.send(bytes.subarray(at, Math.min(at + MESSAGE_BYTES, length)));
    }
  };
}

/** Milliseconds from the asking to the last of so many bytes. */
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

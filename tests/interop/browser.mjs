// One Chromium with peers in it, for the harnesses in this folder.
import { launchChromium } from "../browser/harness.mjs";

/** Starts a Chromium, found and set up as for the flows. */
export function startBrowser() {
  return launchChromium();
}

/** A fresh page with `window.peer`, see `peerInPage`. Its signals go to `onSignal(id, blob)`. */
export async function newPeerPage(browser, onSignal) {
  // Without the permission a page learns no loopback candidate.
  const context = await browser.newContext({ permissions: ["microphone"] });
  const page = await context.newPage();
  page.setDefaultTimeout(120_000);
  page.on("pageerror", (error) => console.error("page:", error));
  await page.exposeFunction("onPeerSignal", onSignal);
  await page.goto("about:blank");
  await page.evaluate(peerInPage);
  return page;
}

/** Runs in the page: peers by id, each with one data channel as PeerEdge agrees on it. */
function peerInPage() {
  const peers = new Map();

  const byteAt = (offset) => (Math.imul(offset, 2654435761 | 0) >>> 13) & 255;

  function open(id, role) {
    const connection = new RTCPeerConnection();
    const channel = connection.createDataChannel("peeredge", { negotiated: true, id: 0 });
    channel.binaryType = "arraybuffer";
    const peer = { connection, channel, onMessage: () => {}, closed: false };
    peer.opened = new Promise((resolve, reject) => {
      channel.onopen = () => resolve();
      setTimeout(() => reject(new Error(`the channel is ${channel.readyState}`)), 20_000);
    });
    peer.opened.catch(() => {});
    peer.ended = new Promise((resolve) => {
      channel.onclose = () => {
        peer.closed = true;
        resolve();
      };
    });
    channel.onmessage = (event) => peer.onMessage(event.data);
    connection.onicecandidate = ({ candidate }) => {
      if (candidate) {
        const mid = candidate.sdpMid;
        onPeerSignal(id, JSON.stringify({ type: "candidate", candidate: candidate.candidate, mid }));
      } else {
        onPeerSignal(id, JSON.stringify({ type: "candidate", candidate: "", mid: "0" }));
      }
    };
    peers.set(id, peer);
    if (role === "offerer") {
      return connection
        .setLocalDescription()
        .then(() => onPeerSignal(id, JSON.stringify(connection.localDescription)));
    }
  }

  async function signal(id, blob) {
    const { connection } = peers.get(id);
    const it = JSON.parse(blob);
    if (it.type === "candidate") {
      await connection.addIceCandidate({ candidate: it.candidate, sdpMid: it.mid ?? "0" });
      return;
    }
    await connection.setRemoteDescription(it);
    if (it.type === "offer") {
      await connection.setLocalDescription();
      onPeerSignal(id, JSON.stringify(connection.localDescription));
    }
  }

  /** Sends messages of these sizes and resolves when each came back as it was sent, in order. */
  function echo(id, sizes) {
    const peer = peers.get(id);
    const sent = sizes.map((size, index) => {
      const bytes = new Uint8Array(size);
      for (let at = 0; at < size; at++) bytes[at] = (at * 7 + index) & 255;
      return bytes;
    });
    return new Promise((resolve, reject) => {
      let next = 0;
      peer.onMessage = (data) => {
        const back = new Uint8Array(data);
        const want = sent[next];
        if (back.length !== want.length || back.some((byte, at) => byte !== want[at])) {
          reject(new Error(`message ${next} came back different: ${back.length} of ${want.length} bytes`));
        }
        if (++next === sent.length) resolve(next);
      };
      for (const bytes of sent) peer.channel.send(bytes);
    });
  }

  /** From now on counts what arrives. `check` compares it with the pattern. */
  function listen(id, bytes, check) {
    const peer = peers.get(id);
    peer.received = new Promise((resolve) => {
      let got = 0;
      let first = 0;
      let intact = true;
      peer.onMessage = (data) => {
        first ||= performance.now();
        if (check) {
          const view = new Uint8Array(data);
          for (let at = 0; at < view.length; at++) intact &&= view[at] === byteAt(got + at);
        }
        got += data.byteLength;
        if (got >= bytes) resolve({ bytes: got, ms: performance.now() - first, intact });
      };
    });
  }

  /** Resolves once all `bytes` of `listen` have arrived, with the time since the first message. */
  const received = (id) => peers.get(id).received;

  /** Sends the pattern, keeping 1 to 2 MiB in the channel's queue. */
  async function flood(id, bytes, size) {
    const { channel } = peers.get(id);
    channel.bufferedAmountLowThreshold = 1 << 20;
    for (let sent = 0; sent < bytes; ) {
      const message = new Uint8Array(Math.min(size, bytes - sent));
      for (let at = 0; at < message.length; at++) message[at] = byteAt(sent + at);
      channel.send(message);
      sent += message.length;
      if (channel.bufferedAmount > 2 << 20) {
        await new Promise((resolve) => channel.addEventListener("bufferedamountlow", resolve, { once: true }));
      }
    }
  }

  const state = (id) => peers.get(id).connection.iceConnectionState;
  const opened = (id) => peers.get(id).opened;
  const ended = (id) => peers.get(id).ended;
  const close = (id) => peers.get(id).connection.close();
  const closeChannel = (id) => peers.get(id).channel.close();
  const sendText = (id) => peers.get(id).channel.send("text");
  window.peer = { open, signal, echo, listen, received, flood, opened, ended, close, closeChannel, sendText, state };
}

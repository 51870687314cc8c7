// A stranger at a relay: speaks the wire format by hand, with as many keys and sockets as it likes and no rules but its own.
import { createHash, generateKeyPairSync, sign } from "node:crypto";
import WebSocket from "ws";

export const u8 = (n) => Buffer.from([n]);
export const u16 = (n) => {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(n);
  return bytes;
};
export const u32 = (n) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(n >>> 0);
  return bytes;
};
export const u64 = (n) => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt.asUintN(64, BigInt(n)));
  return bytes;
};

/** Tags of what a peer says and hears; docs/protocol.md lists the fields. */
export const SAY = { hello: 0x01, announce: 0x02, withdraw: 0x03, signal: 0x04, report: 0x05, blame: 0x06, announces: 0x07, capacity: 0x10, met: 0x11, receipt: 0x12, spare: 0x18, carryOpen: 0x30, carry: 0x31, carryCredit: 0x32, carryClose: 0x33, head: 0x34, follow: 0x35, unfollow: 0x36 };
export const HEAR = { challenge: 0x81, welcome: 0x82, introduce: 0x83, signal: 0x84, unreachable: 0x85, error: 0x86, announceRefused: 0x87, carryOpen: 0xb1, carryClosed: 0xb4 };

/** A content that nobody has published. */
export const content = (name) => createHash("sha256").update(String(name)).digest();

/** A free key, and how it signs. */
export function key() {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  return { id: publicKey.export({ format: "der", type: "spki" }).subarray(-32), sign: (bytes) => sign(null, bytes, privateKey) };
}

/** What a hello signs; `authority` is `host[:port]` as a URL has it. */
export function helloPayload(nonce, relay, authority) {
  return Buffer.concat([Buffer.from("peeredge hello v2"), nonce, relay, u8(authority.length), Buffer.from(authority)]);
}

/** One connection of a stranger's, proved with a key of its own unless it is given one. */
export class Stranger {
  /** `from`: the local address, for instance 127.0.0.2. `prove`: false stays silent after the challenge. `version`: of the protocol.
   * `authority`: the address that the hello names, that of `url` by default. */
  static async connect(url, { from, identity = key(), prove = true, version = 3, authority, headers = {} } = {}) {
    const stranger = new Stranger();
    const address = new URL("/ws", url);
    address.protocol = address.protocol.replace("http", "ws");
    Object.assign(stranger, { identity, id: identity.id, frames: [], closed: null, sent: 0, received: 0 });
    stranger.socket = new WebSocket(address, { localAddress: from, headers, perMessageDeflate: false });
    stranger.socket.on("close", (code) => (stranger.closed = code));
    await new Promise((resolve, reject) => {
      stranger.socket.on("error", reject);
      stranger.socket.on("message", (bytes) => {
        stranger.received += bytes.length;
        if (bytes[0] === HEAR.challenge) {
          stranger.nonce = bytes.subarray(1, 33);
          stranger.relay = bytes.subarray(33, 65);
          if (!prove) return resolve();
          const named = authority ?? address.host;
          const signature = identity.sign(helloPayload(stranger.nonce, stranger.relay, named));
          return stranger.say(u8(SAY.hello), u16(version), identity.id, signature, u8(named.length), Buffer.from(named));
        }
        if (bytes[0] === HEAR.welcome) resolve();
        stranger.frames.push(Buffer.from(bytes));
      });
      stranger.socket.on("close", () => reject(new Error("the relay closed the connection")));
    });
    return stranger;
  }

  /** Sends one frame made of these parts. */
  say(...parts) {
    const frame = Buffer.concat(parts);
    this.sent += frame.length;
    this.socket.send(frame);
  }

  announce(content, havePermille = 0, wants = 0) {
    this.say(u8(SAY.announce), content, u16(havePermille), u8(wants));
  }

  /** One batch: `all` are `[content, havePermille, wants]`, at most 256. */
  announces(all) {
    this.say(u8(SAY.announces), ...all.flatMap(([content, havePermille, wants]) => [content, u16(havePermille), u8(wants)]));
  }

  signal(to, session, blob) {
    this.say(u8(SAY.signal), to, u64(session), Buffer.from(blob));
  }

  blame(accused, content, block = 0) {
    this.say(u8(SAY.blame), accused, content, u32(block));
  }

  /** Frames of this kind that came. */
  heard(tag) {
    return this.frames.filter((frame) => frame[0] === tag);
  }

  /** Peers that this one was told of, as hex, each once. */
  introduced() {
    return [...new Set(this.heard(HEAR.introduce).map((frame) => frame.subarray(33, 65).toString("hex")))];
  }

  /** Waits until the relay has taken everything said so far. */
  async settled(ms = 200) {
    await new Promise((resolve) => this.socket.ping("", true, resolve));
    await new Promise((resolve) => setTimeout(resolve, ms));
  }

  close() {
    this.socket.terminate();
  }
}

// Runs in the test page: a peer of the packed package, and bytes that a seed makes.
import { createPeer } from "/peeredge/dist/index.js";
import { check, randomBlob } from "/random.mjs";

export { randomBlob };

let current = null;
let seenEvents = [];
const fetches = new Map();

export function peer() {
  return current;
}

export async function create(options) {
  seenEvents = [];
  current = await createPeer(options);
  for (const name of ["peer", "blame", "relay", "complete", "error"]) {
    current.addEventListener(name, ({ detail }) => {
      const plain = name === "error" ? { code: detail.code, message: detail.message } : detail;
      seenEvents.push({ name, detail: plain });
    });
  }
  return current.id;
}

export async function close() {
  await current?.close();
  current = null;
}

export const events = () => seenEvents;

export const seen = (name, fields) =>
  seenEvents.some((event) => event.name === name && Object.entries(fields).every(([key, value]) => event.detail[key] === value));

export async function stats() {
  const { contents, ...stats } = await current.stats();
  // Typed arrays do not cross to the test.
  const plain = contents.map(({ blocks, active, ...content }) => ({
    ...content,
    blocks: Array.from(blocks),
    active: active.map(({ held, ...block }) => ({ ...block, held: Array.from(held) })),
  }));
  return { ...stats, contents: plain };
}

export function publish({ seed, length, name, type }) {
  return current.publish(new File([randomBlob(seed, length)], name, { type }));
}

export function start(options) {
  const number = fetches.size + 1;
  const state = { read: 0, result: null };
  state.result = fetchInto(state, options);
  state.result.catch(() => undefined);
  fetches.set(number, state);
  return number;
}

export const read = (number) => fetches.get(number).read;
export const finished = (number) => fetches.get(number).result;

export function fetch(options) {
  return fetchInto({ read: 0 }, options);
}

async function fetchInto(state, { link, seed, range, abortAfter, origin = null }) {
  const controller = new AbortController();
  const began = performance.now();
  const response = await current.fetch(link, { signal: controller.signal, ...(range ? { headers: { range } } : {}), ...(origin ? { origin } : {}) }).catch(named);
  const headMs = performance.now() - began;
  const from = Number(/^bytes (\d+)-/.exec(response.headers.get("content-range") ?? "")?.[1] ?? 0);
  let firstByteMs = null;
  try {
    const reader = response.body?.getReader();
    for (;;) {
      const { done, value } = (await reader?.read()) ?? { done: true };
      if (done) break;
      firstByteMs ??= performance.now() - began;
      if (seed !== null) check(seed, from + state.read, value);
      state.read += value.byteLength;
      if (abortAfter !== null && state.read >= abortAfter) controller.abort();
    }
  } catch (error) {
    named(error);
  }
  const headers = Object.fromEntries(response.headers);
  return { status: response.status, headers, bytes: state.read, headMs, firstByteMs, lastByteMs: performance.now() - began };
}

/** Only an error's message reaches the test: it gets the code, too. */
function named(error) {
  const name = typeof error.code === "string" ? error.code : error.name;
  throw new Error(`${name}: ${error.message}`, { cause: error });
}

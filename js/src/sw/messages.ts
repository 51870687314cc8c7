/**
 * What page and service worker tell each other. Types only: the worker's script has no imports.
 *
 * A worker and a page may be of different builds, as browsers keep a page open while its worker is replaced. Both understand this
 * version and the one before; a page of a later one is refused in so many words.
 */

/** The first version had no number. */
export type Version = 1 | 2;

/** Which addresses go through peers: an absolute address without fragment, and the link of what is there. */
export type Routes = Record<string, string>;

/** How long the service worker waits before it asks the network instead. */
export interface Patience {
  /** For the page to take a request, in milliseconds: its script may not have run yet. */
  takeMs: number;
  /** For the response's head, and then for each next byte, in milliseconds. */
  stallMs: number;
}

/** From a page. */
export type ToServiceWorker =
  /**
   * This page has an engine and answers requests; `routes` replace those before. Answered by `ready`, or `unsupported`, on the port
   * that comes along.
   */
  | { peeredge: "routes"; version?: number; routes: Routes; patience: Patience }
  /** This page answers no more. */
  | { peeredge: "gone" };

/** From the service worker. `ask` has a port, over which the answer comes. */
export type ToPage =
  /** `url`: what was asked for, from version 2 on. The worker then says `alive` as long as it waits. */
  | { peeredge: "ask"; version?: number; link: string; range: string | null; url?: string }
  /** The service worker was started anew: who has an engine? */
  | { peeredge: "who" };

/** Over a request's port, from the page. */
export type Answer =
  | { type: "ready"; version?: number }
  /** To `routes` that are of a later version, or malformed. */
  | { type: "unsupported"; version: number }
  | { type: "taken" }
  /** The page cannot or may not: the network is asked. */
  | { type: "refused" }
  | { type: "head"; status: number; headers: [string, string][] }
  | { type: "data"; bytes: Uint8Array<ArrayBuffer> }
  | { type: "done" }
  | { type: "failed" };

/** Over a request's port, from the service worker. */
export type Demand = { type: "pull"; bytes: number } | { type: "alive" } | { type: "cancel" };

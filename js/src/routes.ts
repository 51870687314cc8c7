import { contentOf } from "./link.js";

/** Absolute addresses without fragment, and the links of what is there. */
export function absoluteRoutes(routes: Record<string, string | URL>): Map<string, string> {
  const entries = Object.entries(routes).map(([address, link]): [string, string] => {
    contentOf(link);
    return [absolute(address), String(link)];
  });
  return new Map(entries);
}

/** An address as routes have it. */
export function absolute(address: string): string {
  const url = new URL(address, document.baseURI);
  url.hash = "";
  return url.href;
}

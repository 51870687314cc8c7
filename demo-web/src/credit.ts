/** Works whose licence asks that their makers are named wherever they are shown. */
const CREDITS: Record<string, string> = {
  "big-buck-bunny.mp4": "© Blender Foundation, CC BY 3.0",
};

/** Whom to name for a content, or nothing. */
export function creditOf(name: string): string {
  return Object.hasOwn(CREDITS, name) ? (CREDITS[name] ?? "") : "";
}

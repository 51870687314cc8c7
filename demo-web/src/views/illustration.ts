import { svg } from "../dom.ts";

const COLUMNS = 5;
const CELLS = 15;

/** Two tabs and a relay that introduces them; blocks cross from one to the other. Decoration: the text beside it says it all. */
export function illustration(): SVGSVGElement {
  const cells = (left: number, name: (index: number) => string) =>
    Array.from({ length: CELLS }, (_, index) => {
      const x = left + 15 + (index % COLUMNS) * 25;
      const y = 104 + Math.floor(index / COLUMNS) * 25;
      const cell = svg("rect", { class: `cell ${name(index)}`, x, y, width: 20, height: 20, rx: 4 });
      cell.style.setProperty("--turn", String(index));
      return cell;
    });
  const window = (left: number) => [
    svg("rect", { class: "window", x: left, y: 72, width: 150, height: 116, rx: 12 }),
    svg("path", { class: "window-bar", d: `M${left} 93h150` }),
  ];
  const moving = [0, 1, 2].map((index) => {
    const cell = svg("rect", { class: "cell moving", x: 167, y: 130, width: 16, height: 16, rx: 4 });
    cell.style.setProperty("--turn", String(index));
    return cell;
  });
  return svg(
    "svg",
    { class: "illustration", viewBox: "0 0 480 190", "aria-hidden": "true" },
    svg("path", { class: "introduces", d: "M218 26C140 26 90 40 80 66M262 26c78 0 128 14 138 40" }),
    svg("rect", { class: "relay-box", x: 219, y: 5, width: 42, height: 42, rx: 10 }),
    svg("path", { class: "relay-glyph", d: "M231 21h18m-4-4 4 4-4 4M249 32h-18m4-4-4 4 4 4" }),
    svg("path", { class: "way", d: "M160 138h160" }),
    ...moving,
    ...window(2),
    ...cells(2, () => "held"),
    ...window(328),
    ...cells(328, () => ""),
    ...cells(328, () => "arriving"),
  );
}

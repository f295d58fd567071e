/** The name of the quarter "endpoint better, forces worse". */
import { svg } from "../shared/dom.js";
import { frameOf } from "./scales.js";

const WHERE = ["where the mean goes,", "seen from where it was"];
const TEXT_LINE = 14, TEXT_LETTER = 5.9, NEAR = 8; // pixels
const PLACES_TRIED = 13; // along each edge

/**
 * The name in free space of its quarter; beside it, with a line, where the quarter is too small.
 * @param {import("./scales.js").Data} data
 * @param {import("./scales.js").ShownLayer[]} layers  those that are shown
 * @param {import("./scales.js").Scale} scale
 * @param {number} letters  times their size
 */
export function paradoxLabel(data, layers, { x, y, at }, letters) {
  const lineHeight = TEXT_LINE * letters;
  const { left, bottom, innerRight, innerTop } = frameOf(data);
  const floor = data.noise_floor ? Math.min(y(data.noise_floor), bottom - 18) : bottom; // what is said of it stays free
  const [mx, my] = at(data.mean);
  const ways = layers.flatMap(({ whole, mean }) => [...whole.arrows.map(({ points }) => points), mean ?? []]);
  const taken = ways.flatMap((points) => along(points.map(at)));
  const [ends, forces] = data.paradox;
  const names = [
    [`the paradox: ${ends}, ${forces}`, `(${WHERE.join(" ")})`],
    ["the paradox:", `${ends}, ${forces}`, `(${WHERE[0]}`, `${WHERE[1]})`],
    ["the paradox:", `${ends},`, forces],
  ];
  const quarter = { left: mx + 4, right: innerRight, top: my + 4, bottom: floor - 2 };
  const plane = { left: left + 4, right: innerRight, top: innerTop, bottom: floor - 2 };
  for (const region of [quarter, plane]) {
    const found = names.flatMap((lines) => freest(lines, region, taken, letters));
    if (!found.length) continue;
    const { lines, width, left: x0, top: y0 } = found.reduce((best, one) => (one.hidden < best.hidden ? one : best));
    const middle = x0 + width / 2, height = lineHeight * lines.length;
    const words = lines.map((text, row) => svg("text", {
      class: "paradox-label", x: middle, y: y0 + lineHeight * (row + 0.8), "text-anchor": "middle" }, text));
    const group = svg("g", { class: "paradox-name", "aria-hidden": "true" }, ...words);
    if (region === plane) {
      group.prepend(svg("line", { class: "leader", x1: middle, y1: y0 + height / 2,
                                  x2: (mx + innerRight) / 2, y2: (my + floor) / 2 }));
    }
    return group;
  }
  return svg("g");
}

/**
 * Where lines of text hide least; nothing where they have no room.
 * @param {string[]} lines
 * @param {{left: number, right: number, top: number, bottom: number}} region
 * @param {number[][]} taken  places that should not be hidden
 * @param {number} letters  times their size
 */
function freest(lines, { left, right, top, bottom }, taken, letters) {
  const width = letters * TEXT_LETTER * Math.max(...lines.map((text) => text.length)) + 8;
  const height = letters * TEXT_LINE * lines.length + 4;
  if (width > right - left || height > bottom - top) return [];
  let best = null;
  for (let column = 0; column < PLACES_TRIED; column++) {
    for (let row = 0; row < PLACES_TRIED; row++) {
      const x0 = right - width - (column / (PLACES_TRIED - 1)) * (right - width - left);
      const y0 = top + (row / (PLACES_TRIED - 1)) * (bottom - height - top);
      const hidden = taken.filter(([px, py]) =>
        px > x0 - NEAR && px < x0 + width + NEAR && py > y0 - NEAR && py < y0 + height + NEAR).length;
      if (!best || hidden < best.hidden) best = { lines, width, left: x0, top: y0, hidden };
    }
  }
  return best ? [best] : [];
}

/**
 * Places along lines through some points, dense enough to tell what a text would hide.
 * @param {import("./scales.js").Point[]} points  pixels
 */
function along(points) {
  return points.slice(1).flatMap(([x1, y1], index) => {
    const [x0, y0] = points[index];
    return Array.from({ length: 41 }, (_, k) => [x0 + (k / 40) * (x1 - x0), y0 + (k / 40) * (y1 - y0)]);
  });
}

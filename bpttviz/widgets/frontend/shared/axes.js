/** Axes of small panels: their size, scales with readable ticks, curves as SVG path data. */
import { svg, typesetSvg } from "./dom.js";

export const PANEL_WIDTH = 260;
export const PANEL_HEIGHT = 132;
/** Pixels between a panel's edges and its axes. */
export const FRAME = { left: 40, right: 8, top: 22, bottom: 20 };
/** Edges of the plot inside a panel. */
export const PLOT = {
  left: FRAME.left, right: PANEL_WIDTH - FRAME.right, top: FRAME.top, bottom: PANEL_HEIGHT - FRAME.bottom,
};

/**
 * A scale from values to pixels.
 * @param {number[]} values  finite ones, all of which shall be seen
 * @param {{logarithmic?: boolean, fromZero?: boolean}} kind
 * @returns {{y: (value: number) => number, ticks: number[]}}
 */
export function scaleOf(values, { logarithmic = false, fromZero = false }) {
  const log = logarithmic && values.length > 0 && values.every((value) => value > 0);
  const inner = log ? Math.log10 : (/** @type {number} */ value) => value;
  let low = Math.min(...values), high = Math.max(...values);
  if (!values.length) [low, high] = [0, 1];
  if (fromZero) low = Math.min(low, 0);
  let [from, to] = [inner(low), inner(high)];
  const margin = to > from ? 0.05 * (to - from) : 0.5 * (Math.abs(to) || 1);
  if (!fromZero) from -= margin;
  to += margin;
  const span = PLOT.bottom - PLOT.top;
  const y = (/** @type {number} */ value) => PLOT.bottom - ((inner(value) - from) / (to - from)) * span;
  return { y, ticks: log ? decades(from, to) : evenTicks(from, to) };
}

/**
 * Two to five readable places between two ends.
 * @param {number} from
 * @param {number} to
 */
function evenTicks(from, to) {
  const rough = (to - from) / 4;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = unit * ([1, 2, 5].find((factor) => factor * unit >= rough) ?? 10);
  const ticks = [];
  for (let k = Math.ceil(from / step); k * step <= to; k++) ticks.push(Number((k * step).toPrecision(6)));
  return ticks;
}

/**
 * Places on a logarithmic axis between two exponents; even ones where it is short.
 * @param {number} from
 * @param {number} to
 */
function decades(from, to) {
  const all = [];
  for (let power = Math.floor(from); power <= to; power++) {
    for (const factor of [1, 2, 5]) all.push(Number((factor * 10 ** power).toPrecision(3)));
  }
  const inside = all.filter((value) => Math.log10(value) >= from && Math.log10(value) <= to);
  const powers = inside.filter((value) => Number.isInteger(Math.round(1e6 * Math.log10(value)) / 1e6));
  if (powers.length >= 2) return powers;
  return inside.length >= 2 ? inside.slice(0, 4) : evenTicks(10 ** from, 10 ** to);
}

/**
 * One curve as SVG path data; a gap where a value is missing.
 * @param {(number | null)[]} values
 * @param {(step: number) => number} x
 * @param {(value: number) => number} y
 */
export function pathData(values, x, y) {
  let pen = "M";
  return values.map((value, step) => {
    if (value === null) {
      pen = "M";
      return "";
    }
    const command = `${pen}${x(step).toFixed(1)} ${y(value).toFixed(1)}`;
    pen = "L";
    return command;
  }).join("");
}

/**
 * An empty panel: its title, its axes and their ticks.
 * @param {string} title
 * @param {string} words    what the panel shows, for those who cannot see it
 * @param {number[]} ticks  on the vertical axis
 * @param {(value: number) => number} y
 * @param {[string, string, string]} below  words at the left end, the middle and the right end
 */
export function emptyPanel(title, words, ticks, y, [first, name, final]) {
  const picture = svg("svg", {
    viewBox: `0 0 ${PANEL_WIDTH} ${PANEL_HEIGHT}`, role: "img", "aria-label": `${title}. ${words}`,
  }, svg("text", { class: "title", x: 4, y: 13 }, ...typesetSvg(title)));
  for (const value of ticks) {
    picture.append(
      svg("line", { class: "grid", x1: PLOT.left, x2: PLOT.right, y1: y(value), y2: y(value) }),
      svg("text", { class: "tick", x: PLOT.left - 4, y: y(value) + 3.5, "text-anchor": "end" }, String(value)));
  }
  picture.append(svg("path", { class: "axis", d: `M${PLOT.left} ${PLOT.top}V${PLOT.bottom}H${PLOT.right}` }));
  const label = (/** @type {string} */ text, /** @type {number} */ x, anchor = "middle") =>
    svg("text", { class: "tick", x, y: PLOT.bottom + 13, "text-anchor": anchor }, text);
  picture.append(label(first, PLOT.left), label(name, (PLOT.left + PLOT.right) / 2), label(final, PLOT.right, "end"));
  return picture;
}

/** The panels of a training: curves against the update, and the gradient against the step. */
import { PLOT, emptyPanel, pathData, scaleOf } from "../shared/axes.js";
import { svg } from "../shared/dom.js";

/**
 * @typedef {[number, number]} Point  (update, value)
 *
 * @typedef {Object} Curve
 * @property {Point[]} points
 * @property {string} colour
 * @property {string} name
 * @property {boolean} [dots]     dots alone, without a line
 * @property {boolean} [squares]  in place of dots
 *
 * @typedef {Object} Gradient  its size on its way back through the steps
 * @property {[number[], (number | null)[]][]} profiles  steps and relative sizes, latest last
 * @property {string | null} verdict
 * @property {string} words
 * @property {number} vanished   relative size below which it has vanished
 * @property {number} exploded   and above which it has exploded
 */

const MOST_DOTS = 40; // points of a curve that are marked one by one

/**
 * Curves against the update.
 * @param {string} title
 * @param {number} last     update at the right edge
 * @param {Curve[]} curves
 * @param {{logarithmic?: boolean, ring?: Point | null, empty?: string,
 *          levels?: {value: number, words: string}[]}} [options]
 */
export function curvesPanel(title, last, curves, { logarithmic = false, ring = null, levels = [], empty = "" } = {}) {
  const known = curves.filter(({ points }) => points.length);
  const values = known.flatMap(({ points }) => points.map(([, value]) => value));
  // A logarithmic axis of less than a decade has no ticks that say so.
  const wide = Math.max(...values) > 10 * Math.min(...values);
  const { y, ticks } = scaleOf(values, { logarithmic: logarithmic && wide });
  const x = (/** @type {number} */ update) => PLOT.left + (update / last) * (PLOT.right - PLOT.left);
  const words = known.map(({ points, name }) =>
    `${name} from ${points[0][1].toPrecision(3)} to ${points.at(-1)[1].toPrecision(3)}`);
  const picture = emptyPanel(title, words.join("; ") || "nothing yet", values.length ? ticks : [], y,
    ["0", "update", String(last)]);
  if (!values.length) {
    picture.append(inTheMiddle(empty || "nothing yet"));
    return picture;
  }
  for (const { value, words: label } of levels) {
    if (y(value) > PLOT.bottom) { // no line, and all that is shown is above
      picture.append(svg("text", { class: "faint", x: PLOT.right, y: PLOT.bottom - 4, "text-anchor": "end" },
        `${label}: all of these`));
    }
    if (y(value) < PLOT.top || y(value) > PLOT.bottom) continue;
    picture.append(
      svg("line", { class: "level", x1: PLOT.left, x2: PLOT.right, y1: y(value), y2: y(value) }),
      svg("text", { class: "faint", x: PLOT.right, y: y(value) - 3, "text-anchor": "end" }, label));
  }
  picture.append(...known.map((curve) => curveOf(curve, x, y)));
  if (ring) picture.append(svg("circle", { class: "ring", cx: x(ring[0]), cy: y(ring[1]), r: 5.5 }));
  if (curves.length > 1) picture.append(...legend(known, ring !== null));
  return picture;
}

/**
 * @param {Curve} curve
 * @param {(update: number) => number} x
 * @param {(value: number) => number} y
 */
function curveOf({ points, colour, dots, squares }, x, y) {
  const group = svg("g", { style: `--colour:${colour}` });
  const circle = (/** @type {number} */ r) => points.map(([at, value]) =>
    svg("circle", { class: "dot", cx: x(at), cy: y(value), r }));
  if (dots) group.append(...circle(1.6));
  else {
    const values = points.map(([, value]) => value);
    group.append(svg("path", { class: "curve", d: pathData(values, (at) => x(points[at][0]), y) }));
    if (points.length <= MOST_DOTS) {
      group.append(...(squares ? points.map(([at, value]) => svg("rect", {
        class: "dot", x: x(at) - 2.2, y: y(value) - 2.2, width: 4.4, height: 4.4 })) : circle(1.9)));
    }
  }
  return group;
}

/**
 * Names of curves, at the right above the axes.
 * @param {Curve[]} curves
 * @param {boolean} best  whether the best value has a ring
 */
function legend(curves, best) {
  let at = PLOT.right;
  const entry = (/** @type {string} */ name, /** @type {string} */ colour, /** @type {string} */ shape) => {
    at -= 4.6 * name.length;
    const middle = { cx: at - 6, cy: PLOT.top + 6 };
    const mark = shape === "square"
      ? svg("rect", { class: "dot", x: at - 9, y: PLOT.top + 3.5, width: 5, height: 5 })
      : svg("circle", { class: shape, ...middle, r: shape === "ring" ? 3.2 : 2.2 });
    const group = svg("g", { style: `--colour:${colour}` }, mark,
      svg("text", { class: "key", x: at, y: PLOT.top + 9.5 }, name));
    at -= 17;
    return group;
  };
  const entries = best ? [entry("best", "none", "ring")] : [];
  for (const { name, colour, dots } of [...curves].reverse()) {
    entries.push(entry(name, colour, dots ? "dot" : "square"));
  }
  return entries;
}

/**
 * The gradient's size on its way back, one line an update, the latest in front.
 * @param {Gradient} gradient
 * @param {string} colour
 */
export function gradientPanel({ profiles, verdict, words, vanished, exploded }, colour) {
  const title = `gradient by step${verdict ? `: ${verdict}` : ""}`;
  const sizes = profiles.flatMap(([, relative]) => relative.filter((size) => size > 0));
  // Both bands are always in view: a flat curve is to look flat.
  const { y, ticks } = scaleOf([...sizes, 0.4 * vanished, 2.5 * exploded], { logarithmic: true });
  if (!profiles.length) {
    const empty = emptyPanel(title, words, [], y, ["", "step", ""]);
    empty.append(inTheMiddle("nothing that went through time yet"));
    return empty;
  }
  const steps = profiles.flatMap(([at]) => at);
  const [low, high] = [Math.min(...steps), Math.max(...steps)];
  const x = (/** @type {number} */ step) =>
    PLOT.left + ((step - low) / Math.max(high - low, 1)) * (PLOT.right - PLOT.left);
  const picture = emptyPanel(title, words, ticks, y, [String(low), "← step, the gradient's way", String(high)]);
  picture.append(
    ...band(vanished, y(vanished), PLOT.bottom, "vanished", y(vanished) + 9),
    ...band(exploded, PLOT.top, y(exploded), "exploded", y(exploded) - 3));
  profiles.forEach(([at, relative], index) => {
    const latest = index === profiles.length - 1;
    const group = svg("g", { style: `--colour:${colour}` }, svg("path", {
      class: latest ? "curve" : "curve earlier",
      d: pathData(relative.map((size) => (size > 0 ? size : null)), (place) => x(at[place]), y),
    }));
    if (latest && at.length <= MOST_DOTS) {
      group.append(...at.map((step, place) => ({ step, size: relative[place] })).filter(({ size }) => size > 0)
        .map(({ step, size }) => svg("circle", { class: "dot", cx: x(step), cy: y(size), r: 2 })));
    }
    picture.append(group);
  });
  return picture;
}

/**
 * Where a gradient has vanished or exploded: shaded, and named.
 * @param {number} edge
 * @param {number} top     pixels
 * @param {number} bottom  pixels
 * @param {string} word
 * @param {number} at      pixels
 */
function band(edge, top, bottom, word, at) {
  return [
    svg("rect", { class: "band", "data-edge": edge, x: PLOT.left, width: PLOT.right - PLOT.left, y: top,
                  height: Math.max(bottom - top, 0) }),
    svg("text", { class: "faint", x: PLOT.left + 4, y: at }, word),
  ];
}

/**
 * A sentence in the middle of an empty panel.
 * @param {string} text
 */
function inTheMiddle(text) {
  return svg("text", { class: "faint", x: (PLOT.left + PLOT.right) / 2, y: (PLOT.top + PLOT.bottom) / 2,
                       "text-anchor": "middle" }, text);
}

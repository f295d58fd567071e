/** The gradient's size against the step, on logarithmic axes that stay where they are. */
import { svg } from "../shared/dom.js";

const CHART = { width: 280, height: 118, left: 40, right: 8, top: 22, bottom: 22 };
const DECADES = [-4, 4]; // of the vertical axis
const SUPERSCRIPTS = "⁰¹²³⁴";

export class GradientChart {
  /** @param {import("./walk.js").Limits} limits */
  constructor({ vanished, exploded }) {
    const { width, height, left, right, top, bottom } = CHART, middle = (left + width - right) / 2;
    this.curve = svg("path", { class: "curve" });
    const tick = (/** @type {number} */ x, /** @type {number} */ y, /** @type {string} */ anchor, text = "") =>
      svg("text", { class: "tick", x, y, "text-anchor": anchor }, text);
    const limit = (/** @type {number} */ value, /** @type {string} */ text) => [
      svg("line", { class: "limit", x1: left, x2: width - right, y1: yOf(value), y2: yOf(value) }),
      tick(width - right, yOf(value) - 3, "end", text),
    ];
    this.lastTick = tick(width - right, height - 8, "end");
    const powers = [-4, -2, 0, 2, 4].map((power) => tick(left - 5, yOf(10 ** power) + 3.5, "end",
      power === 0 ? "1" : `10${power < 0 ? "⁻" : ""}${SUPERSCRIPTS[Math.abs(power)]}`));
    this.el = svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "chart", role: "img" },
      svg("text", { class: "title", x: 4, y: 13 }, "size of dL/dX, compared with the end"),
      ...powers, ...limit(vanished, "vanished"), ...limit(exploded, "exploded"),
      svg("path", { class: "axis", d: `M${left} ${top}V${height - bottom}H${width - right}` }),
      tick(left, height - 8, "middle", "0"), tick(middle, height - 8, "middle", "step"), this.lastTick, this.curve);
  }

  /**
   * @param {Float64Array | null} size  of the gradient, step by step; null where there is none
   * @param {number} steps  K
   */
  show(size, steps) {
    const last = size ? size[size.length - 1] : 0;
    const x = (/** @type {number} */ step) =>
      CHART.left + (step / Math.max(steps, 1)) * (CHART.width - CHART.left - CHART.right);
    const points = !last ? [] : Array.from(size, (value, step) => `${x(step).toFixed(1)} ${yOf(value / last).toFixed(1)}`);
    this.curve.setAttribute("d", points.length ? `M${points.join("L")}` : "");
  }
}

/**
 * Pixels for a relative size, at the axis's end where it is beyond.
 * @param {number} value
 */
function yOf(value) {
  const [low, high] = DECADES, { height, top, bottom } = CHART;
  const power = Math.min(Math.max(Math.log10(value), low), high);
  return top + ((high - power) / (high - low)) * (height - top - bottom);
}

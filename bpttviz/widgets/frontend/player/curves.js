/**
 * Energy, largest force and ΔQ against the step, with markers that follow the clock.
 *
 * The curves are SVG, drawn once. The markers lie above them as elements of their own, each a layer
 * that a browser moves without painting anything: where it must paint in software, moving them
 * inside the SVG cost more time than two panes of atoms.
 */

import { PANEL_WIDTH, PLOT, emptyPanel, pathData, scaleOf } from "../shared/axes.js";
import { svg, tag } from "../shared/dom.js";

/**
 * @typedef {Object} Quantity
 * @property {"energy" | "fmax" | "deltaQ"} key
 * @property {string} title
 * @property {string} unit
 * @property {{logarithmic?: boolean, fromZero?: boolean}} axis
 */

/**
 * What is drawn, from left to right.
 * @type {Quantity[]}
 */
const QUANTITIES = [
  { key: "energy", title: "energy since start / eV", unit: "eV", axis: {} },
  { key: "fmax", title: "largest force / eV/Å", unit: "eV/Å", axis: { logarithmic: true } },
  { key: "deltaQ", title: "ΔQ to the reference / amu½ Å", unit: "amu^½ Å", axis: { fromZero: true } },
];

/** @typedef {import("./comparison.js").RelaxationPath} RelaxationPath */

/**
 * A panel's parts that follow the clock.
 * @typedef {Object} Mover
 * @property {HTMLElement} panel
 * @property {HTMLElement} now
 * @property {{mark: HTMLElement, path: RelaxationPath, values: (number | null)[]}[]} marks
 * @property {(value: number) => number} y
 */

export class Curves {
  /**
   * @param {HTMLElement} el      where to draw
   * @param {(step: number) => void} onStep  a place on a curve was chosen
   */
  constructor(el, onStep) {
    this.el = el;
    this.onStep = onStep;
    this.step = 0;
    /** @type {Mover[]} */
    this.movers = [];
    /** @type {import("./comparison.js").Comparison | null} */
    this.comparison = null;
    this.resized = new ResizeObserver(() => this.comparison && this.show(this.step));
  }

  destroy() {
    this.resized.disconnect();
  }

  /** @param {import("./comparison.js").Comparison} comparison */
  load(comparison) {
    this.comparison = comparison;
    this.movers = [];
    this.el.replaceChildren(...QUANTITIES.map((quantity) => this.panel(comparison, quantity)));
    this.resized.disconnect();
    this.resized.observe(this.el);
    this.show(0);
  }

  /** @param {number} step */
  x(step) {
    return PLOT.left + (step / Math.max(this.comparison?.steps ?? 1, 1)) * (PLOT.right - PLOT.left);
  }

  /**
   * Move the markers to `step`.
   * @param {number} step
   */
  show(step) {
    this.step = step;
    const pixels = this.movers[0].panel.clientWidth / PANEL_WIDTH;
    /** @type {(element: HTMLElement, x: number, y: number) => void} */
    const move = (element, x, y) => {
      element.style.transform = `translate(${(pixels * x).toFixed(1)}px,${(pixels * y).toFixed(1)}px)`;
    };
    for (const { now, marks, y } of this.movers) {
      move(now, this.x(step), PLOT.top);
      now.style.height = `${pixels * (PLOT.bottom - PLOT.top)}px`;
      for (const { mark, path, values } of marks) {
        const held = path.held(step), value = values[held] ?? null;
        mark.hidden = value === null;
        if (value !== null) move(mark, this.x(held), y(value));
      }
    }
  }

  /**
   * @param {import("./comparison.js").Comparison} comparison
   * @param {Quantity} quantity
   */
  panel(comparison, { key, title, unit, axis }) {
    const { paths, steps } = comparison;
    const levels = paths.map((path) => (key === "deltaQ" ? path.deltaQAtRest : null));
    const { y, ticks } = scaleOf([...paths.flatMap((path) => path[key]), ...levels].filter(isKnown), axis);
    const words = paths.map((path) => describe(path, key, unit)).join("; ");
    const picture = emptyPanel(title, `${words}.`, ticks, y, ["0", "step", String(steps)]);
    picture.dataset.quantity = key;
    if (key === "deltaQ" && comparison.noiseFloor) {
      const level = Math.max(y(comparison.noiseFloor), PLOT.top);
      picture.prepend(svg("rect", { class: "noise", x: PLOT.left, width: PLOT.right - PLOT.left,
                                    y: level, height: PLOT.bottom - level }));
    }
    paths.forEach((path, index) => {
      const style = `--colour:${path.colour}`, level = levels[index];
      if (level !== null) {
        picture.append(svg("line", { class: "rest", style, x1: PLOT.left, x2: PLOT.right,
                                     y1: y(level), y2: y(level) }));
      }
      picture.append(svg("path", { class: index ? "curve dashed" : "curve", style,
                                   d: pathData(path[key], (step) => this.x(step), y) }));
    });
    this.chooseFrom(picture);
    const now = tag("div", { class: "now" });
    const marks = paths.map((path, index) => ({
      // both are seen where they meet
      mark: tag("div", { class: index ? "mark open" : "mark", style: `--colour:${path.colour}` }),
      path, values: path[key],
    }));
    const panel = tag("div", { class: "panel" }, picture, now, ...marks.map(({ mark }) => mark));
    this.movers.push({ panel, now, marks, y });
    return panel;
  }

  /**
   * Let the pointer choose a step.
   * @param {SVGSVGElement} picture
   */
  chooseFrom(picture) {
    picture.addEventListener("pointerdown", (event) => {
      picture.setPointerCapture(event.pointerId);
      this.choose(event, picture);
    });
    picture.addEventListener("pointermove", (event) => {
      if (picture.hasPointerCapture(event.pointerId)) this.choose(event, picture);
    });
  }

  /**
   * @param {PointerEvent} event
   * @param {SVGSVGElement} picture
   */
  choose(event, picture) {
    const box = picture.getBoundingClientRect();
    const at = ((event.clientX - box.left) / box.width) * PANEL_WIDTH;
    const part = (at - PLOT.left) / (PLOT.right - PLOT.left);
    this.onStep(Math.round(Math.min(Math.max(part, 0), 1) * (this.comparison?.steps ?? 0)));
  }
}

/** @type {(value: number | null) => boolean} */
const isKnown = (value) => value !== null;

/**
 * @param {RelaxationPath} path
 * @param {"energy" | "fmax" | "deltaQ"} key
 * @param {string} unit
 */
function describe(path, key, unit) {
  const known = path[key].filter(isKnown);
  if (!known.length) return `${path.potential}: not known`;
  const rest = key === "deltaQ" && path.deltaQAtRest !== null
    ? `, ${path.deltaQAtRest.toPrecision(3)} at rest` : "";
  return `${path.potential} from ${known[0].toPrecision(3)} to ` +
    `${known[known.length - 1].toPrecision(3)} ${unit}${rest}`;
}

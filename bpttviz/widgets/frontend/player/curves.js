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
  { key: "deltaQ", title: "ΔQ to the reference / amu^½ Å", unit: "amu^½ Å", axis: { fromZero: true } },
];

/** @typedef {import("./comparison.js").RelaxationPath} RelaxationPath */

const SHARE_OF_MAP = [0.55, 0.72]; // of the axis: at least, at most

/**
 * A panel's parts that follow the clock.
 * @typedef {Object} Mover
 * @property {HTMLElement} panel
 * @property {HTMLElement} now
 * @property {{mark: HTMLElement, path: RelaxationPath, key: Quantity["key"]}[]} marks
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

  /**
   * The steps of the map have most of the axis, however long the way to rest is after them.
   * @param {number} step
   */
  x(step) {
    const { steps = 1, mapSteps = 1 } = this.comparison ?? {};
    const share = this.shareOfMap;
    const part = step <= mapSteps
      ? share * (step / Math.max(mapSteps, 1)) : share + (1 - share) * ((step - mapSteps) / (steps - mapSteps));
    return PLOT.left + part * (PLOT.right - PLOT.left);
  }

  /**
   * The step at a place of the axis; the other way round.
   * @param {number} part  0 to 1
   */
  stepAt(part) {
    const { steps = 0, mapSteps = 0 } = this.comparison ?? {};
    const share = this.shareOfMap;
    if (part <= share) return Math.round((part / share) * mapSteps);
    return Math.round(mapSteps + ((part - share) / (1 - share)) * (steps - mapSteps));
  }

  get shareOfMap() {
    const { steps, mapSteps, goesOn } = this.comparison ?? { steps: 1, mapSteps: 1, goesOn: false };
    const [least, most] = SHARE_OF_MAP;
    return goesOn ? Math.min(Math.max(least, mapSteps / steps), most) : 1;
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
      for (const { mark, path, key } of marks) {
        const value = path.value(key, step);
        mark.hidden = value === null;
        if (value !== null) move(mark, this.x(path.held(step)), y(value));
      }
    }
  }

  /**
   * @param {import("./comparison.js").Comparison} comparison
   * @param {Quantity} quantity
   */
  panel(comparison, { key, title, unit, axis }) {
    const { paths, steps, mapSteps, goesOn } = comparison;
    const levels = paths.map((path) => (key === "deltaQ" ? path.deltaQAtRest : null));
    const { y, ticks } = scaleOf([...paths.flatMap((path) => path[key]), ...levels].filter(isKnown), axis);
    const words = paths.map((path) => describe(path, key, unit)).join("; ");
    const below = goesOn ? ["0", "", `rest, +${steps - mapSteps}`] : ["0", "step", String(steps)];
    const picture = emptyPanel(title, `${words}.`, ticks, y, /** @type {[string, string, string]} */ (below));
    picture.dataset.quantity = key;
    if (goesOn) picture.append(...this.endOfMap(mapSteps));
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
                                   d: pathData(path[key], (at) => this.x(path.times[at]), y) }));
    });
    this.chooseFrom(picture);
    const now = tag("div", { class: "now" });
    const marks = paths.map((path, index) => ({
      // both are seen where they meet
      mark: tag("div", { class: index ? "mark open" : "mark", style: `--colour:${path.colour}` }),
      path, key,
    }));
    const panel = tag("div", { class: "panel" }, picture, now, ...marks.map(({ mark }) => mark));
    this.movers.push({ panel, now, marks, y });
    return panel;
  }

  /**
   * The line between the steps of the map and the way to rest, and what is on its two sides.
   * @param {number} mapSteps
   */
  endOfMap(mapSteps) {
    const at = this.x(mapSteps), below = PLOT.bottom + 13;
    const words = (/** @type {number} */ x, /** @type {string} */ text) =>
      svg("text", { class: "tick", x, y: below, "text-anchor": "middle" }, text);
    return [
      svg("line", { class: "end-of-map", x1: at, x2: at, y1: PLOT.top, y2: PLOT.bottom }),
      words((PLOT.left + at) / 2, "step"), words(at, `K=${mapSteps}`),
    ];
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
    this.onStep(this.stepAt(Math.min(Math.max(part, 0), 1)));
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

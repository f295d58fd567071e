/** One atom of both relaxations: who it is, how far it is from its place by step, what it adds to the errors. */
import { PLOT, emptyPanel, pathData, scaleOf } from "../shared/axes.js";
import { setText, svg, tag } from "../shared/dom.js";
import { PanePainter } from "./pane_painter.js";

const MOST_LISTED = 300;
const CLICK_PIXELS = 4;    // pixels that the pointer may move in a click
const NEAREST_PIXELS = 6;  // pixels around an atom's middle that are always its own

/** @typedef {import("./comparison.js").Comparison} Comparison */

export class AtomDetails {
  /**
   * @param {import("./curves.js").Curves} curves  whose axis of steps this one has, too
   * @param {(atom: number) => void} onChoose  -1: none
   */
  constructor(curves, onChoose) {
    this.curves = curves;
    /** @type {Comparison | null} */
    this.comparison = null;
    this.atom = -1;
    /** @type {SVGElement[]} */
    this.marks = [];
    this.chooser = tag("select", { "aria-label": "atom", title: "An atom: those that are farthest from their places first" });
    this.chooser.addEventListener("change", () => onChoose(Number(this.chooser.value)));
    this.name = tag("div", { class: "name" });
    this.said = tag("div");
    this.words = tag("div", { class: "words", role: "status" }, this.name, this.said);
    this.panel = tag("div", { class: "panel" });
    this.el = tag("div", { class: "one-atom" },
      tag("div", {}, tag("label", {}, "atom ", this.chooser), this.words), this.panel);
  }

  /** @param {Comparison} comparison */
  load(comparison) {
    this.comparison = comparison;
    const order = farthestFirst(comparison).slice(0, MOST_LISTED);
    this.chooser.replaceChildren(tag("option", { value: -1 }, "none"),
      ...order.map((atom) => tag("option", { value: atom }, nameOfAtom(comparison, atom))));
    this.atom = -1;
  }

  /**
   * @param {number} atom
   * @param {number} step
   * @param {boolean} playing  then it is not read aloud, which would never end
   */
  show(atom, step, playing) {
    const { comparison } = this;
    if (!comparison) return;
    if (atom !== this.atom) this.draw(comparison, atom);
    this.words.setAttribute("aria-live", playing ? "off" : "polite");
    setText(this.name, atom < 0 ? "" : nameOfAtom(comparison, atom));
    if (atom < 0) {
      setText(this.said, "Click an atom or choose one: how far it is from its place, its share of ΔQ², its force error.");
      return;
    }
    setText(this.said, describeAtom(comparison, atom, step));
    const x = this.curves.x(step);
    const [now, ...dots] = this.marks;
    now.setAttribute("d", `M${x} ${PLOT.top}V${PLOT.bottom}`);
    comparison.paths.forEach((path, k) => {
      dots[k].setAttribute("cx", String(this.curves.x(path.held(step))));
      dots[k].setAttribute("cy", String(this.y(distanceOf(path, atom, step))));
    });
  }

  /**
   * The line of its distance, drawn once an atom.
   * @param {Comparison} comparison
   * @param {number} atom
   */
  draw(comparison, atom) {
    this.atom = atom;
    this.panel.replaceChildren();
    if (atom >= 0 && !this.chooser.querySelector(`[value="${atom}"]`)) {
      this.chooser.append(tag("option", { value: atom }, nameOfAtom(comparison, atom)));
    }
    this.chooser.value = String(atom);
    if (atom < 0) return;
    const { paths, steps, mapSteps, goesOn } = comparison;
    const ways = paths.map((path) => path.kept.map((step) => distanceOf(path, atom, step)));
    const { y, ticks } = scaleOf(ways.flat(), { fromZero: true });
    this.y = y;
    const words = paths.map(({ potential }, k) =>
      `${potential} from ${ways[k][0].toPrecision(3)} to ${ways[k][ways[k].length - 1].toPrecision(3)} Å`).join("; ");
    const picture = emptyPanel(`${nameOfAtom(comparison, atom)}: distance to its place / Å`, `${words}.`, ticks, y,
      goesOn ? ["0", "", `+${steps - mapSteps}`] : ["0", "step", String(steps)]);
    if (goesOn) picture.append(...this.curves.endOfMap(mapSteps));
    this.marks = [svg("path", { class: "instant" })];
    paths.forEach((path, k) => {
      const style = `--colour:${path.colour}`;
      picture.append(svg("path", { class: k ? "curve dashed" : "curve", style,
                                   d: pathData(ways[k], (at) => this.curves.x(path.kept[at]), y) }));
      this.marks.push(svg("circle", { class: k ? "dot open" : "dot", style, r: k ? 4.5 : 3.5 }));
    });
    picture.append(...this.marks);
    this.curves.chooseFrom(picture);
    this.panel.append(picture);
  }
}

/**
 * Let a click on the canvas, which is no drag, choose an atom.
 * @param {HTMLElement} panes
 * @param {() => any} stageOf  the stage that draws there now
 * @param {(atom: number) => void} onPick  -1: nothing was hit
 */
export function pickByClick(panes, stageOf, onPick) {
  /** @type {[number, number] | null} */
  let down = null;
  panes.addEventListener("pointerdown", (event) => { down = [event.clientX, event.clientY]; });
  panes.addEventListener("pointerup", (event) => {
    const stage = stageOf();
    const index = stage?.canvases?.indexOf(event.target) ?? -1;
    if (down && index >= 0 && Math.hypot(event.clientX - down[0], event.clientY - down[1]) < CLICK_PIXELS) {
      onPick(atomAt(stage, index, event.offsetX, event.offsetY));
    }
    down = null;
  });
}

/**
 * The atom, or the one that an image is of, nearest to the eye at a place of a canvas; or -1.
 * @param {import("./canvas_stage.js").CanvasStage} stage
 * @param {number} index  of the pane
 * @param {number} x      CSS pixels
 * @param {number} y
 */
export function atomAt(stage, index, x, y) {
  const { comparison, camera, state } = stage;
  const painter = new PanePainter(stage.canvases[index], comparison, camera, state.images);
  const { positions, radii } = stage.bodiesOf(index);
  const seen = painter.project(positions);
  let found = -1, depth = -Infinity;
  radii.forEach((radius, body) => {
    const away = Math.hypot(painter.x(seen[3 * body]) - x * painter.ratio, painter.y(seen[3 * body + 1]) - y * painter.ratio);
    if (away < Math.max(radius * painter.size, NEAREST_PIXELS) && seen[3 * body + 2] > depth) {
      [found, depth] = [body < comparison.atoms ? body : comparison.imageOf[body - comparison.atoms], seen[3 * body + 2]];
    }
  });
  return found;
}

/**
 * A ring around an atom.
 * @param {PanePainter} painter
 * @param {Float32Array} positions
 * @param {number} radius  Å
 * @param {number} atom
 */
export function paintRing(painter, positions, radius, atom) {
  const { context } = painter;
  const [x, y] = painter.project(positions.slice(3 * atom, 3 * atom + 3));
  for (const [colour, width] of /** @type {[string, number][]} */ ([[painter.colours.paper, 5], [painter.colours.ink, 2.5]])) {
    context.strokeStyle = colour;
    context.lineWidth = width * painter.ratio;
    context.beginPath();
    context.arc(painter.x(x), painter.y(y), radius * painter.size + 3 * painter.ratio, 0, 2 * Math.PI);
    context.stroke();
  }
}

/**
 * @param {Comparison} comparison
 * @param {number} atom
 */
function nameOfAtom({ symbols, species }, atom) {
  return `${symbols[species[atom]] ?? "atom"} ${atom}`;
}

/**
 * Atoms by the larger of their shares of ΔQ² at the two ends.
 * @param {Comparison} comparison
 */
function farthestFirst(comparison) {
  const shares = comparison.paths.map((path) => sharesOf(comparison, path, comparison.steps));
  const most = (/** @type {number} */ atom) => Math.max(...shares.map((one) => one[atom]));
  return Array.from({ length: comparison.atoms }, (_, atom) => atom).sort((a, b) => most(b) - most(a));
}

/**
 * Each atom's part of ΔQ², 0 to 1.
 * @param {Comparison} comparison
 * @param {import("./comparison.js").RelaxationPath} path
 * @param {number} step
 */
function sharesOf({ masses }, path, step) {
  const squares = Array.from(path.at(step).distances, (distance, atom) => (masses[atom] ?? 1) * distance * distance);
  const all = squares.reduce((sum, one) => sum + one, 0) || 1;
  return squares.map((one) => one / all);
}

/**
 * @param {import("./comparison.js").RelaxationPath} path
 * @param {number} atom
 * @param {number} step
 */
function distanceOf(path, atom, step) {
  return path.at(step).distances[atom];
}

/**
 * @param {Comparison} comparison
 * @param {number} atom
 * @param {number} step
 */
function describeAtom(comparison, atom, step) {
  const parts = comparison.paths.map((path) => {
    const error = path.forceErrors?.[atom];
    return `${path.potential}: ${distanceOf(path, atom, step).toFixed(3)} Å away, ` +
      `${(100 * sharesOf(comparison, path, step)[atom]).toFixed(1)} % of ΔQ²` +
      (error === undefined || error === null ? "" : `, force error ${error.toPrecision(2)} eV/Å`);
  });
  return parts.join("\n");
}

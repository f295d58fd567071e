/** Atoms on a canvas: two panes with one camera; no library. */
import { colourAt } from "../shared/colour.js";
import { tag } from "../shared/dom.js";
import { paintRing } from "./atom_details.js";
import { bondsOf } from "./bonds.js";
import { Camera } from "./camera.js";
import { PanePainter } from "./pane_painter.js";
import { emptySite, ghostSphere, solidSphere } from "./sprites.js";

const SHADES = 48; // colours between 0 and the end of the scale

/**
 * @typedef {Object} StageState
 * @property {number} step
 * @property {boolean} arrows
 * @property {boolean} images
 * @property {number} exaggeration  how many times as far from the reference atoms are drawn
 * @property {number} [atom]  that is ringed, if any
 * @property {boolean} [playing]    whether the next step is due soon
 */

/** Two panes side by side. The pointer or the arrow keys turn both; the wheel (with Ctrl) zooms. */
export class CanvasStage {
  /** @param {HTMLElement} el  where the panes go */
  constructor(el) {
    this.el = el;
    /** @type {StageState} */
    this.state = { step: 0, arrows: false, images: false, exaggeration: 1 };
    this.camera = new Camera([[1, 0, 0], [0, 1, 0], [0, 0, 1]]);
    /** @type {HTMLCanvasElement[]} */
    this.canvases = [];
    /** @type {(import("./pane_painter.js").Bodies | null)[]} */
    this.bodies = [];
    /** @type {number | null} */
    this.due = null;
    this.shape = ""; // of what is shown: structure and cell
    this.drawn = 0; // how often, for those who measure it
    this.resized = new ResizeObserver(() => this.draw(this.state));
  }

  /** @param {import("./comparison.js").Comparison} comparison */
  load(comparison) {
    const shape = JSON.stringify([comparison.structure, comparison.cell]);
    if (shape !== this.shape) this.camera = new Camera(comparison.view); // another pair keeps the view
    this.shape = shape;
    this.comparison = comparison;
    this.sprites = Array.from({ length: SHADES },
      (_, k) => solidSphere(colourAt(comparison.scale, k / (SHADES - 1))));
    this.grey = solidSphere([190, 190, 190]);
    this.ghost = ghostSphere(comparison.ghost);
    this.vacancy = emptySite(comparison.ghost);
    this.cell = Float32Array.from(comparison.cell.flat());
    this.bodies = [];
    const { structure, atoms, paths } = comparison;
    if (this.canvases.length !== paths.length) { // else whoever drags one, or has the focus there, keeps it
      this.resized.disconnect();
      this.canvases = paths.map(() => this.pane());
      this.el.replaceChildren(...this.canvases);
    }
    paths.forEach(({ potential }, at) => this.canvases[at].setAttribute("aria-label",
      `${structure} under ${potential}, ${atoms} atoms. Arrow keys turn both panes, plus and minus zoom, 0 goes back.`));
  }

  destroy() {
    this.resized.disconnect();
  }

  /** One pane, empty so far. */
  pane() {
    const canvas = tag("canvas", { tabindex: 0, role: "img" });
    this.followPointer(canvas);
    canvas.addEventListener("dblclick", () => this.home());
    canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && document.activeElement !== canvas) return; // the page scrolls
      event.preventDefault();
      this.zoom(Math.exp(-0.002 * event.deltaY));
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => this.onKey(event));
    this.resized.observe(canvas);
    return canvas;
  }

  /** @param {HTMLCanvasElement} canvas  that turns both panes when it is dragged */
  followPointer(canvas) {
    /** @type {[number, number] | null} */
    let from = null;
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      from = [event.clientX, event.clientY];
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!from || !canvas.hasPointerCapture(event.pointerId)) return;
      const [x, y] = from;
      from = [event.clientX, event.clientY];
      this.turn(0.01 * (event.clientX - x), 0.01 * (event.clientY - y));
    });
    canvas.addEventListener("pointerup", () => { from = null; });
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    const turns = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1] };
    const turn = turns[/** @type {keyof typeof turns} */ (event.key)];
    if (turn) this.turn(turn[0], turn[1]);
    else if (event.key === "+" || event.key === "=") this.zoom(1.1);
    else if (event.key === "-") this.zoom(1 / 1.1);
    else if (event.key === "0") this.home();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /**
   * @param {number} right  radians
   * @param {number} down
   */
  turn(right, down) {
    this.camera.turn(right, -down);
    this.draw(this.state);
  }

  /** @param {number} factor */
  zoom(factor) {
    this.camera.zoom = Math.min(Math.max(this.camera.zoom * factor, 0.3), 8);
    this.draw(this.state);
  }

  home() {
    this.camera.reset();
    this.draw(this.state);
  }

  /**
   * Draw both panes, once, before the browser paints next.
   * @param {StageState} state
   */
  draw(state) {
    this.state = { ...state };
    this.due ??= requestAnimationFrame(() => {
      this.due = null;
      this.drawNow();
    });
  }

  drawNow() {
    this.canvases.forEach((canvas, index) => {
      const { comparison, state } = this;
      const painter = new PanePainter(canvas, comparison, this.camera, state.images), bodies = this.bodiesOf(index);
      painter.paint(this.cell, bodies, {
        ghost: this.ghost, vacancy: this.vacancy, arrows: state.arrows, lost: comparison.paths[index].lost,
      });
      const { atom = -1 } = state;
      if (atom >= 0) paintRing(painter, bodies.positions, comparison.sizes[atom], atom);
    });
    this.drawn++;
  }

  /**
   * What stands in a pane at the step shown; worked out once a step, not once a turn.
   * @param {number} index
   */
  bodiesOf(index) {
    const { comparison, state } = this;
    const path = comparison.paths[index];
    const gone = path.gone(state.step);
    const key = `${path.held(state.step)} ${gone} ${state.images} ${state.exaggeration}`;
    const before = this.bodies[index];
    if (before?.key === key) return before;
    const { positions, distances } = path.at(state.step, state.exaggeration);
    const all = (/** @type {Float32Array} */ values, each = 1) =>
      (state.images ? comparison.withImages(values, each) : values);
    // Bonds are those of the atoms where they are, not where they are drawn.
    const known = state.exaggeration === 1 ? positions : path.at(state.step).positions;
    const shade = (/** @type {number} */ distance) =>
      Math.min(Math.round((distance / comparison.limit) * (SHADES - 1)), SHADES - 1);
    return (this.bodies[index] = {
      key, gone, positions: all(positions, 3), ghosts: all(comparison.reference, 3), radii: all(comparison.sizes),
      arrows: comparison.arrows(positions, distances, Math.max(comparison.magnified, state.exaggeration)),
      sprites: Array.from(all(distances), (distance) => (gone ? this.grey : this.sprites[shade(distance)])),
      bonds: bondsOf(comparison, known, positions, state.images),
    });
  }
}

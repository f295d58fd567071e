/** The player's canvas, with one pane: atoms coloured by their arrows, which are forces or dL/dX. */
import { bondsOf } from "../player/bonds.js";
import { CanvasStage } from "../player/canvas_stage.js";
import { PanePainter } from "../player/pane_painter.js";
import { ghostSphere, solidSphere } from "../player/sprites.js";
import { colourAt, rgb } from "../shared/colour.js";
import { lengths } from "./flow.js";

const FLOW_SHADES = 40;
const SHORTEST_SEEN = 0.25; // Å, as drawn
const STILL = 4;          // pixels that the pointer may move in a click
const SEE_THROUGH = 0.8;  // of the grey outlines

export class FlowStage extends CanvasStage {
  /**
   * @param {HTMLElement} el
   * @param {(atom: number) => void} onPick  an atom was clicked; -1: none
   */
  constructor(el, onPick) {
    super(el);
    this.onPick = onPick;
    /** What is shown: a step, which way, arrows as long as the step's longest, an atom. */
    this.shown = { step: 0, way: 0, equal: false, atom: -1 };
    this.resized = new ResizeObserver(() => this.draw(this.state));
  }

  /** @param {import("./flow.js").Flow} flow */
  loadFlow(flow) {
    this.flow = flow;
    this.load(flow);
    this.spheres = flow.colours.map((scale) => Array.from({ length: FLOW_SHADES },
      (_, k) => solidSphere(colourAt(scale, k / (FLOW_SHADES - 1)))));
    this.ring = ghostSphere(flow.ghost);
    this.canvases[0].setAttribute("aria-label", `${flow.words}. Arrow keys turn it, plus and minus zoom, 0 goes back.`);
  }

  pane() {
    const canvas = super.pane();
    /** @type {[number, number] | null} */
    let down = null;
    canvas.addEventListener("pointerdown", (event) => { down = [event.offsetX, event.offsetY]; });
    canvas.addEventListener("pointerup", (event) => {
      if (down && Math.hypot(event.offsetX - down[0], event.offsetY - down[1]) < STILL) {
        this.onPick(this.atomAt(event.offsetX, event.offsetY));
      }
      down = null;
    });
    return canvas;
  }

  /** @param {Partial<{step: number, way: number, equal: boolean, atom: number}>} shown */
  see(shown) {
    Object.assign(this.shown, shown);
    this.draw(this.state);
  }

  painter() {
    return new PanePainter(this.canvases[0], this.flow, this.camera, false);
  }

  drawNow() {
    const { flow, shown } = this;
    const painter = this.painter();
    if (!flow || !painter.width || !painter.height) return;
    const { context, width, height } = painter;
    const { positions } = flow.paths[0].at(shown.step);
    const vectors = flow.vectorsAt(shown.step, shown.way);
    const sizes = lengths(vectors);
    const largest = flow.longestArrow(shown.step, shown.way, shown.equal);
    const bodies = {
      key: "", gone: false, positions, ghosts: flow.reference, radii: flow.sizes,
      distances: new Float32Array(flow.atoms), arrows: { from: positions, to: positions },
      sprites: sizes.map((size) => this.spheres[shown.way][Math.round((FLOW_SHADES - 1) * Math.min(size / largest, 1))]),
      bonds: bondsOf(flow, positions, positions, false),
    };
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, width, height);
    painter.paintCell(painter.project(this.cell));
    const atoms = painter.project(positions);
    this.seen = atoms;
    /** @type {any} */ (painter).paintBodies(bodies, atoms, this.ring, this.ring);
    const tips = painter.project(positions.map((place, at) => place + (flow.longest * vectors[at]) / largest));
    this.paintVectors(painter, atoms, tips, sizes.map((size) => (flow.longest * size) / largest));
    painter.paintLabels(atoms);
    if (shown.atom >= 0) this.paintRing(painter, atoms);
    this.drawn++;
  }

  /**
   * @param {PanePainter} painter
   * @param {Float32Array} from   projected
   * @param {Float32Array} to     projected
   * @param {number[]} drawnLengths  Å
   */
  paintVectors(painter, from, to, drawnLengths) {
    const { context, size, colours } = painter;
    const dark = isDark(colours.paper);
    const scale = this.flow.colours[this.shown.way];
    const ink = dark ? scale[2] : scale[3];
    for (const [colour, extra] of /** @type {[string, number][]} */ ([[colours.paper, dark ? 0.05 : 0.1], [ink, 0]])) {
      context.strokeStyle = context.fillStyle = colour;
      context.lineWidth = (0.14 + extra) * size;
      context.lineJoin = "round";
      drawnLengths.forEach((length, atom) => {
        if (length < SHORTEST_SEEN) return;
        const k = 3 * atom;
        painter.paintArrow(painter.x(from[k]), painter.y(from[k + 1]), painter.x(to[k]), painter.y(to[k + 1]), extra > 0);
      });
    }
  }

  /**
   * @param {PanePainter} painter
   * @param {Float32Array} atoms  projected
   */
  paintRing(painter, atoms) {
    const { context, size, ratio } = painter;
    const k = 3 * this.shown.atom;
    context.globalAlpha = SEE_THROUGH;
    context.strokeStyle = painter.colours.ink;
    context.lineWidth = 2.5 * ratio;
    context.beginPath();
    context.arc(painter.x(atoms[k]), painter.y(atoms[k + 1]), 1.0 * size, 0, 2 * Math.PI);
    context.stroke();
    context.globalAlpha = 1;
  }

  /**
   * The atom nearest to the eye at a place of the canvas, or -1.
   * @param {number} x  CSS pixels
   * @param {number} y
   */
  atomAt(x, y) {
    const painter = this.painter();
    let found = -1, depth = -Infinity;
    for (let atom = 0; this.seen && atom < this.flow.atoms; atom++) {
      const k = 3 * atom;
      const away = Math.hypot(painter.x(this.seen[k]) - x * painter.ratio, painter.y(this.seen[k + 1]) - y * painter.ratio);
      if (away < Math.max(this.flow.sizes[atom] * painter.size, 6) && this.seen[k + 2] > depth) {
        [found, depth] = [atom, this.seen[k + 2]];
      }
    }
    return found;
  }
}

/** @param {string} colour  as computed: "rgb(…)" */
function isDark(colour) {
  const [r, g, b] = colour.startsWith("#") ? rgb(colour) : (colour.match(/[\d.]+/g) ?? ["255", "255", "255"]).map(Number);
  return 0.3 * r + 0.59 * g + 0.11 * b < 110;
}

/** A small picture of the structure that is pointed at, as it rests under a potential. */
import { colourAt } from "../shared/colour.js";
import { tag } from "../shared/dom.js";
import { onThemeChange } from "../shared/theme.js";
import { bondsOf } from "../player/bonds.js";
import { Camera } from "../player/camera.js";
import { Comparison } from "../player/comparison.js";
import { PanePainter } from "../player/pane_painter.js";
import { emptySite, ghostSphere, solidSphere } from "../player/sprites.js";

/**
 * The reference end, then where the structure rests under each of `potentials`, as the frames of
 * one path.
 * @typedef {import("../player/comparison.js").Payload & {potentials: string[]}} Still
 */

const TONES = 24;

export class Thumbnail {
  /** @param {Object<string, Still>} stills  by structure */
  constructor(stills) {
    this.canvas = tag("canvas", { class: "still" });
    this.caption = tag("figcaption");
    // Its place is kept, so that nothing moves when a structure is pointed at.
    this.el = tag("figure", { class: "thumbnail idle", "aria-hidden": "true" }, this.canvas, this.caption);
    this.setStills(stills);
    this.shown = { name: "", potential: "" };
    this.forgetTheme = onThemeChange(() => this.paint());
    /** @type {Map<string, HTMLCanvasElement[]>} */
    this.spheres = new Map();
  }

  /** @param {Object<string, Still>} stills */
  setStills(stills) {
    this.stills = stills;
    this.el.hidden = !Object.keys(stills).length;
  }

  destroy() {
    this.forgetTheme();
  }

  /**
   * @param {string} name       of a structure, or "": nothing is seen
   * @param {string} potential
   */
  show(name, potential) {
    if (name === this.shown.name && potential === this.shown.potential) return;
    this.shown = { name, potential };
    this.el.classList.toggle("idle", !name);
    this.paint();
  }

  paint() {
    const still = this.stills[this.shown.name];
    if (!still) {
      this.canvas.getContext("2d")?.clearRect(0, 0, this.canvas.width, this.canvas.height);
      this.caption.textContent = this.shown.name ? "no picture of it" : "";
      return;
    }
    const comparison = new Comparison(still), [path] = comparison.paths;
    const frame = still.potentials.indexOf(this.shown.potential) + 1;
    const { positions, distances } = path.at(frame);
    const spheres = this.spheresOf(still.scale), last = spheres.length - 1;
    const painter = new PanePainter(this.canvas, comparison, new Camera(still.view), false);
    painter.paint(Float32Array.from(still.cell.flat()), {
      key: "", gone: false, positions, ghosts: comparison.reference, radii: comparison.sizes,
      sprites: Array.from(distances, (far) => spheres[Math.min(Math.round((far / still.limit) * last), last)]),
      bonds: bondsOf(comparison, positions, positions, false),
      arrows: { from: new Float32Array(), to: new Float32Array() },
    }, { ghost: ghostSphere(still.ghost), vacancy: emptySite(still.ghost), arrows: false, lost: "" });
    this.caption.textContent = frame
      ? `at rest, ${this.shown.potential}; dark: up to ${still.limit.toFixed(2)} Å off`
      : "the reference end";
  }

  /** @param {string[]} scale */
  spheresOf(scale) {
    const key = scale.join(" ");
    const known = this.spheres.get(key)
      ?? Array.from({ length: TONES }, (_, k) => solidSphere(colourAt(scale, k / (TONES - 1))));
    this.spheres.set(key, known);
    return known;
  }
}

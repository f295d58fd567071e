/** A chosen training, replayed: where walkers go, stage by stage and step by step; and its loss. */
import { PLOT, emptyPanel, pathData, scaleOf } from "../shared/axes.js";
import { css, mix, rgb } from "../shared/colour.js";
import { button, setText, svg, tag } from "../shared/dom.js";
import { unpack } from "../shared/packed.js";

const WIDTH = 420;
const EDGE = { left: 44, right: 8, top: 8, bottom: 34 };
const STAGE_SECONDS = 1.6; // one stage of training, its relaxation and a rest
const MOVING = 0.8; // part of it that walkers move

export class Replay {
  /** @param {import("./index.js").Data} data */
  constructor(data) {
    this.data = data;
    /** @type {import("./cells.js").Cell | null} */
    this.cell = null;
    this.frame = 0;
    this.playing = 0; // handle of the next animation frame
    const [[x0, x1], [y0, y1]] = data.window;
    const inner = WIDTH - EDGE.left - EDGE.right;
    const tall = data.ground_shape.length ? inner * ((y1 - y0) / (x1 - x0)) : 0.62 * inner;
    this.height = tall + EDGE.top + EDGE.bottom;
    /** @type {(x: number) => number} */
    this.x = (x) => EDGE.left + ((x - x0) / (x1 - x0)) * inner;
    /** @type {(y: number) => number} */
    this.y = (y) => EDGE.top + ((y1 - y) / (y1 - y0)) * tall;
    this.play = button("▶ Replay", "Replay the training", () => this.toggle());
    this.slider = tag("input", { type: "range", min: 0, value: 0, step: 1, "aria-label": "moment of the training" });
    this.slider.addEventListener("input", () => {
      this.pause();
      this.go(Number(this.slider.value));
    });
    // The notebook moves between cells with these keys.
    this.slider.addEventListener("keydown", (event) => event.stopPropagation());
    this.moment = tag("output", {});
    this.map = tag("div", { class: "plane" });
    this.loss = tag("div", { class: "loss" });
    this.el = tag("div", { class: "replay" },
      tag("div", { class: "controls" }, this.play, this.slider, this.moment), this.map,
      tag("div", { class: "side" }, this.loss, this.legend()));
    this.el.hidden = true;
  }

  legend() {
    const { before, after } = this.data.colours;
    return tag("ul", { class: "legend" },
      tag("li", {}, tag("span", { class: "line dashed", style: `--colour: ${before}` }), "the way before training"),
      tag("li", {}, tag("span", { class: "line", style: `--colour: ${after}` }), "the way now, a dot a step"),
      tag("li", {}, "★ the reference end"));
  }

  hide() {
    this.pause();
    this.el.hidden = true;
    this.cell = null;
  }

  /**
   * @param {import("./cells.js").Cell} cell
   * @param {boolean} play
   */
  show(cell, play) {
    this.pause();
    this.cell = cell;
    this.el.hidden = false;
    this.slider.max = String(cell.stages.length * (cell.steps + 1) - 1);
    this.go(Number(this.slider.max));
    this.showLoss(cell);
    if (play) this.toggle();
  }

  toggle() {
    if (this.playing) return this.pause();
    if (!this.cell) return;
    const { stages, steps } = this.cell, frames = steps + 1;
    const from = this.frame >= stages.length * frames - 1 ? 0 : this.frame / frames;
    const began = performance.now();
    this.play.textContent = "❚❚ Pause";
    const tick = (/** @type {number} */ now) => {
      const at = from + Math.max(now - began, 0) / 1000 / STAGE_SECONDS;
      if (at >= stages.length) {
        this.go(stages.length * frames - 1);
        return this.pause();
      }
      const stage = Math.floor(at);
      const step = Math.min(Math.floor(((at - stage) / MOVING) * steps), steps);
      this.go(stage * frames + step);
      this.playing = requestAnimationFrame(tick);
    };
    this.playing = requestAnimationFrame(tick);
  }

  pause() {
    cancelAnimationFrame(this.playing);
    this.playing = 0;
    this.play.textContent = "▶ Replay";
  }

  /** @param {number} frame */
  go(frame) {
    this.frame = frame;
    this.slider.value = String(frame);
    this.paint();
  }

  paint() {
    const { cell } = this;
    if (!cell) return;
    const stage = Math.floor(this.frame / (cell.steps + 1)), step = this.frame % (cell.steps + 1);
    const words = `after ${cell.stages[stage]} of ${cell.stages.at(-1)} updates, step ${step} of ${cell.steps}`;
    setText(this.moment, words);
    this.slider.setAttribute("aria-valuetext", words);
    const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${this.height}`, role: "img",
                                 "aria-label": `${cell.title}, ${words}. ${cell.words}` });
    picture.append(...this.frameOf(cell, stage));
    cell.paths[0].forEach((walker) => picture.append(svg("path", { class: "before", d: this.line(walker) })));
    cell.paths[stage].forEach((walker) => this.walk(picture, walker.slice(0, step + 1)));
    new Set(this.data.goals.map((goal) => goal.join(" "))).forEach((goal) => {
      const [x, y] = goal.split(" ").map(Number);
      picture.append(svg("text", { class: "goal", x: this.x(x), y: this.y(y) + 7, "text-anchor": "middle" }, "★"));
    });
    this.map.replaceChildren(picture);
  }

  /**
   * Ground and axes.
   * @param {import("./cells.js").Cell} cell
   * @param {number} stage
   */
  frameOf(cell, stage) {
    const [[x0, x1], [y0, y1]] = this.data.window;
    const [left, right, top, bottom] = [this.x(x0), this.x(x1), this.y(y1), this.y(y0)];
    const parts = [];
    if (cell.ground) {
      parts.push(svg("image", { x: left, y: top, width: right - left, height: bottom - top,
                                preserveAspectRatio: "none", href: this.groundOf(cell, stage) }));
    }
    parts.push(svg("path", { class: "axis", d: `M${left} ${top}V${bottom}H${right}` }));
    const tick = (/** @type {number} */ x, /** @type {number} */ y, /** @type {number} */ value, anchor = "middle") =>
      svg("text", { class: "tick", x, y, "text-anchor": anchor }, String(value));
    for (const value of [-1.5, -1, -0.5, 0, 0.5, 1, 1.5]) {
      if (value >= x0 && value <= x1) parts.push(tick(this.x(value), bottom + 13, value));
      if (value >= y0 && value <= y1) parts.push(tick(left - 4, this.y(value) + 4, value, "end"));
    }
    const [across, up] = this.data.axes;
    parts.push(svg("text", { class: "tick", x: (left + right) / 2, y: bottom + 28, "text-anchor": "middle" }, across));
    parts.push(svg("text", { class: "tick", "text-anchor": "middle",
                             transform: `translate(12 ${(top + bottom) / 2}) rotate(-90)` }, up));
    return parts;
  }

  /**
   * The energy of a stage as a picture: low is near the paper's colour.
   * @param {import("./cells.js").Cell} cell
   * @param {number} stage
   */
  groundOf(cell, stage) {
    const [rows, columns] = /** @type {[number, number]} */ (this.data.ground_shape);
    const bytes = new Uint8Array(unpack(cell.ground)).subarray(stage * rows * columns, (stage + 1) * rows * columns);
    const small = tag("canvas", { width: columns, height: rows }), large = tag("canvas", { width: 480, height: 420 });
    const style = getComputedStyle(this.el);
    const [low, high] = ["--low", "--high"].map((name) => rgb(style.getPropertyValue(name).trim() || "#ffffff"));
    const pen = small.getContext("2d"), brush = large.getContext("2d");
    if (!pen || !brush) return "";
    bytes.forEach((byte, k) => {
      pen.fillStyle = css(mix(low, high, byte / 255));
      pen.fillRect(k % columns, rows - 1 - Math.floor(k / columns), 1, 1);
    });
    brush.imageSmoothingQuality = "high";
    // A byte is the energy at a node, and the first and last nodes are on the window's edge.
    brush.drawImage(small, 0.5, 0.5, columns - 1, rows - 1, 0, 0, large.width, large.height);
    return large.toDataURL();
  }

  /** @param {([number, number] | null)[]} walker */
  line(walker) {
    const known = walker.slice(0, walker.findIndex((place) => !place) >>> 0);
    return known.map((place, k) => `${k ? "L" : "M"}${this.x(place[0]).toFixed(1)} ${this.y(place[1]).toFixed(1)}`).join("");
  }

  /**
   * @param {SVGSVGElement} picture
   * @param {([number, number] | null)[]} walker
   */
  walk(picture, walker) {
    const known = walker.slice(0, walker.findIndex((place) => !place) >>> 0);
    if (!known.length) return;
    picture.append(svg("path", { class: "halo", d: this.line(walker) }), svg("path", { class: "now", d: this.line(walker) }));
    known.forEach(([x, y], k) => {
      const last = k === known.length - 1;
      picture.append(svg("circle", { class: last ? "walker" : "step", cx: this.x(x), cy: this.y(y), r: last ? 5 : 1.8 }));
    });
  }

  /** @param {import("./cells.js").Cell} cell */
  showLoss({ losses, title }) {
    const known = /** @type {number[]} */ (losses.filter((loss) => loss !== null));
    const { y, ticks } = scaleOf(known, { fromZero: true });
    const words = known.length ? `From ${known[0].toPrecision(3)} to ${known.at(-1).toPrecision(3)}.` : "None.";
    const panel = emptyPanel("training loss / amu^½ Å", `${title}. ${words}`, ticks, y, ["1", "update", String(losses.length)]);
    const across = (/** @type {number} */ k) => PLOT.left + (k / Math.max(losses.length - 1, 1)) * (PLOT.right - PLOT.left);
    panel.append(svg("path", { class: "curve", d: pathData(losses, across, y) }));
    this.loss.replaceChildren(panel);
  }
}

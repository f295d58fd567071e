/**
 * FoggyValley: a landscape to walk on. Drag the start, the star, the step size; the walk and the
 * gradient's way back are worked out here, on a surface that Python surveyed. Python is asked only
 * to train; where there is none, the page does that too (`LocalTrainer`).
 *
 * @typedef {[number, number]} Place  Å
 *
 * @typedef {Object} Visit  how a landscape is first met
 * @property {Place} start
 * @property {Place} target
 * @property {number} step_size  Å²/eV
 * @property {number} steps
 *
 * @typedef {Object} Setting
 * @property {Object<string, {visit: Visit, surface: import("./surface.js").SurfaceData,
 *     rate: number, model: import("./landscapes.js").Description | null}>} examples  how each begins, its
 *     learning rate, and what a page needs to train it; null: only Python can
 * @property {string[]} tints   colours of basins
 * @property {number} highest   eV above the lowest place: the last colour
 * @property {[number, number]} sizes  smallest and largest step size, Å²/eV
 * @property {number} most      steps
 * @property {import("./walk.js").Limits} limits
 */
import { setText, tag } from "../shared/dom.js";
import { onThemeChange } from "../shared/theme.js";
import { throttle } from "../shared/throttle.js";
import { GradientChart } from "./chart.js";
import { Settings, makeLegend, makeMap, makeToolbar } from "./controls.js";
import { paintGround } from "./ground.js";
import { SplineSurface } from "./surface.js";
import { TrainingPanel } from "./training.js";
import { lookBack, walk } from "./walk.js";
import { paintFog, paintWalk } from "./walk_painter.js";
import { brief, placed, wordsOf } from "./words.js";

const NUDGE = 0.02;          // Å, an arrow key; five times as much with shift
const FINER = 1.05;          // factor of the step size, + and -
const SIGHT = 0.2;           // Å that a walker sees in the fog
const STRIDE = 90;           // ms a step when the walk is played
const BETWEEN_BASINS = 250;  // ms, while a landscape is being trained

/** What page and Python share. */
export const TRAITS = ["landscape", "start", "target", "step_size", "steps", "frame"];

export class FoggyValley {
  /**
   * @param {HTMLElement} el
   * @param {import("../shared/model.js").Model} model
   */
  constructor(el, model) {
    this.model = model;
    /** @type {Setting} */
    this.setting = model.get("setting");
    /** @type {string} */
    this.landscape = model.get("landscape");
    /** @type {Place} */
    this.start = model.get("start");
    /** @type {Place} */
    this.target = model.get("target");
    /** @type {number} */
    this.step_size = model.get("step_size");
    /** @type {number} */
    this.steps = model.get("steps");
    /** @type {number} */
    this.frame = model.get("frame");
    this.shown = { basins: true, gradient: true, fog: false };
    this.drainedAt = -Infinity; // when basins were last worked out
    this.drawn = 0; // how often, for those who measure it
    this.ratio = 0; // device pixels a pixel; none yet
    this.gone = this.telling = false;
    /** @type {{step: number, back: number} | null} */
    this.moment = null; // while the walk is played
    /** @type {"start" | "target" | null} */
    this.dragged = null;
    /** @type {number | null} */
    this.due = null;
    /** @type {Object<string, string>} */
    this.colours = {};
    this.makePage(el);
    this.tell = throttle(() => this.tellNow());
    this.say = throttle((/** @type {ReturnType<typeof wordsOf> | undefined} */ words) => this.sayNow(words));
    this.survey();
    this.resized = new ResizeObserver(() => this.resize());
    this.resized.observe(this.map.el);
    this.stopWatching = onThemeChange(() => this.ground());
  }

  destroy() {
    this.gone = true;
    this.resized.disconnect();
    this.stopWatching();
  }

  /** @param {HTMLElement} el */
  makePage(el) {
    const { examples, sizes, most, highest, limits } = this.setting;
    this.map = makeMap();
    this.settings = new Settings(Object.keys(examples), sizes, most, {
      visit: (name) => this.visit(name), set: (changes) => this.set(changes),
    });
    this.words = { end: tag("p", { class: "words" }), map: tag("p", { class: "words" }), back: tag("p", { class: "words" }) };
    this.chart = new GradientChart(limits);
    this.training = new TrainingPanel(this.model, {
      set: (changes) => this.set(changes), flush: () => this.tellNow(),
    });
    this.spoken = tag("p", { class: "spoken", role: "status" });
    const toolbar = makeToolbar(this.shown, () => this.play(), (name, down) => {
      this.shown[name] = down;
      if (name === "basins") this.ground();
      this.draw();
    });
    const side = tag("div", { class: "side" }, ...this.settings.rows, toolbar, ...Object.values(this.words),
      this.chart.el, this.training.el, this.spoken);
    side.addEventListener("keydown", (event) => event.stopPropagation()); // not the notebook's
    this.el = tag("section", { class: "bpttviz-foggy-valley", role: "group" },
      tag("div", { class: "left" }, this.map.el, makeLegend(highest)), side);
    this.listen();
    Object.assign(this.el, { bpttvizValley: this }); // for tests and the console
    el.replaceChildren(this.el);
  }

  /** To the pointer, and to keys where a handle has the focus. */
  listen() {
    const { el, handles } = this.map;
    handles.start.addEventListener("keydown", (event) => this.onKey(event, "start"));
    handles.target.addEventListener("keydown", (event) => this.onKey(event, "target"));
    el.addEventListener("pointerdown", (event) => this.onPress(event));
    el.addEventListener("pointermove", (event) => this.onDrag(event));
    el.addEventListener("pointerup", () => this.release());
    el.addEventListener("pointercancel", () => this.release());
  }

  // --- state ----------------------------------------------------------------------------------

  /** Give everything to the model, which reports each trait back at once. */
  tellNow() {
    this.telling = true;
    const { landscape, start, target, step_size, steps, frame } = this;
    const all = { landscape, start, target, step_size, steps, frame };
    for (const [name, value] of Object.entries(all)) this.model.set(name, value);
    this.telling = false;
    this.model.save_changes();
  }

  /**
   * The model changed a trait; what the reader holds in his hand stays.
   * @param {string} name  one of `TRAITS`
   */
  onModel(name) {
    const value = this.model.get(name);
    const mine = this[/** @type {"start"} */ (name)];
    if (this.telling || name === this.dragged || JSON.stringify(mine) === JSON.stringify(value)) return;
    Object.assign(this, { [name]: value });
    if (name === "landscape" || name === "frame") this.survey();
    else this.draw();
  }

  /**
   * The reader changed something.
   * @param {Partial<Visit> & {landscape?: string, frame?: number}} changes
   */
  set(changes) {
    Object.assign(this, changes);
    this.moment = null;
    this.tell();
    if ("landscape" in changes || "frame" in changes) this.survey();
    else this.draw();
  }

  /**
   * Go to another landscape, and begin there as everyone does.
   * @param {string} name
   */
  visit(name) {
    this.set({ landscape: name, frame: 0, ...this.setting.examples[name].visit });
    this.tellNow(); // what is said of the other one must not stay for a moment
    this.showTraining();
  }

  /** The trained states of this landscape. @returns {import("./training.js").Frame[]} */
  get frames() {
    return this.model.get("frames")[this.landscape] ?? [];
  }

  /** Another surface: the landscape itself, a trained state, or the one in training. */
  survey() {
    const live = this.model.get("live");
    const data = live.landscape === this.landscape ? live.surface
      : this.frames[this.frame - 1]?.surface ?? this.setting.examples[this.landscape].surface;
    const earlier = this.surface;
    this.surface = new SplineSurface(data);
    // Basins take longer than an update of a training: a few times a second will do.
    const now = performance.now();
    if (live.landscape === this.landscape && earlier && now - this.drainedAt < BETWEEN_BASINS) this.surface.drained = earlier.drained;
    else this.drainedAt = now;
    const [x0, x1, y0, y1] = this.surface.window;
    this.map.el.style.aspectRatio = `${x1 - x0} / ${y1 - y0}`;
    this.settings.choice.value = this.landscape;
    this.resize(true);
    this.showTraining();
  }

  showTraining() {
    this.training.show(this.frames, this.frame);
  }

  // --- pointer and keys -----------------------------------------------------------------------

  /**
   * The place (Å) under a pointer, kept inside the window.
   * @param {PointerEvent} event
   */
  placeOf(event) {
    const box = this.map.el.getBoundingClientRect();
    const [x0, x1, y0, y1] = this.surface.window;
    return this.inside(x0 + ((event.clientX - box.left) / box.width) * (x1 - x0),
      y1 - ((event.clientY - box.top) / box.height) * (y1 - y0));
  }

  /**
   * @param {number} x
   * @param {number} y
   * @returns {Place}
   */
  inside(x, y) {
    const [x0, x1, y0, y1] = this.surface.window;
    const kept = (/** @type {number} */ value, /** @type {number} */ low, /** @type {number} */ high) =>
      Number(Math.min(Math.max(value, low), high).toFixed(4));
    return [kept(x, x0, x1), kept(y, y0, y1)];
  }

  /** @param {PointerEvent} event */
  onPress(event) {
    if (event.button) return;
    this.dragged = /** @type {Element} */ (event.target).closest(".target") ? "target" : "start";
    this.map.el.setPointerCapture(event.pointerId);
    this.map.handles[this.dragged].focus({ preventScroll: true });
    this.set({ [this.dragged]: this.placeOf(event) });
    event.preventDefault();
  }

  /** @param {PointerEvent} event */
  onDrag(event) {
    if (this.dragged) this.set({ [this.dragged]: this.placeOf(event) });
  }

  release() {
    this.dragged = null;
  }

  /**
   * @param {KeyboardEvent} event
   * @param {"start" | "target"} name  of the handle that has the focus
   */
  onKey(event, name) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const far = event.shiftKey ? 5 * NUDGE : NUDGE;
    const move = { ArrowLeft: [-far, 0], ArrowRight: [far, 0], ArrowUp: [0, far], ArrowDown: [0, -far] }[event.key];
    const { sizes: [lowest, highest], most } = this.setting;
    if (move) this.set({ [name]: this.inside(this[name][0] + move[0], this[name][1] + move[1]) });
    else if (event.key === "+" || event.key === "-") {
      const size = this.step_size * (event.key === "+" ? FINER : 1 / FINER);
      this.set({ step_size: Number(Math.min(Math.max(size, lowest), highest).toPrecision(3)) });
    } else if (event.key === "PageUp" || event.key === "PageDown") {
      const steps = this.steps + (event.key === "PageUp" ? 1 : -1);
      this.set({ steps: Math.min(Math.max(steps, 1), most) });
    } else {
      if (event.key === " " || event.key === "Enter") event.stopPropagation();
      return;
    }
    event.preventDefault();
    event.stopPropagation(); // the notebook has uses of its own for these keys
  }

  /** Walk step by step, then let the gradient come back. */
  play() {
    const moment = (this.moment = { step: 0, back: Infinity });
    const began = performance.now();
    const tick = (/** @type {number} */ now) => {
      if (this.gone || this.moment !== moment) return;
      // A frame's time may lie before the moment at which it was asked for.
      const steps = Math.max(now - began, 0) / STRIDE, made = this.walk.made;
      const way = this.walk.lost || !this.shown.gradient ? made : 2 * made;
      if (steps > way + 3) this.moment = null;
      else {
        moment.step = Math.min(Math.floor(steps), made);
        moment.back = steps < made ? Infinity : Math.max(2 * made - Math.floor(steps), 0);
      }
      this.draw();
      requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }

  // --- drawing --------------------------------------------------------------------------------

  /** @param {boolean} [always]  even where the size is as it was */
  resize(always = false) {
    const { el, canvases } = this.map;
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    const width = Math.round(el.clientWidth * ratio), height = Math.round(el.clientHeight * ratio);
    if (!width || !height) return;
    if (!always && canvases.ground.width === width && canvases.ground.height === height) return;
    for (const canvas of Object.values(canvases)) {
      if (canvas.width !== width) canvas.width = width;
      if (canvas.height !== height) canvas.height = height;
    }
    this.ratio = ratio;
    this.ground();
    this.draw();
  }

  ground() {
    const style = getComputedStyle(this.el);
    this.colours = Object.fromEntries(["ink", "paper", "low", "high", "line", "band", "fog"]
      .map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
    const { low, high, line } = this.colours, { tints, highest } = this.setting;
    paintGround(this.map.canvases.ground, this.surface, { low, high, line, tints, highest, basins: this.shown.basins });
    this.draw();
  }

  /** Work the walk out and show it, before the next frame. */
  draw() {
    this.due ??= requestAnimationFrame(() => {
      this.due = null;
      if (!this.gone && this.ratio) this.drawNow();
    });
  }

  drawNow() {
    this.drawn++;
    this.walk = walk(this.surface, this.start, this.step_size, this.steps);
    this.back = this.walk.lost ? null : lookBack(this.walk, this.step_size, this.target);
    const { walk: way, moment, colours, ratio, shown, map: { canvases, handles } } = this;
    const scene = {
      walk: way, back: shown.gradient ? this.back : null, moment, colours, ratio,
      pixels: (/** @type {number} */ x, /** @type {number} */ y) => this.pixels(x, y),
    };
    paintWalk(canvases.walk, scene);
    canvases.fog.hidden = !shown.fog; // a layer less to put together at every move
    const [x0, x1] = this.surface.window;
    if (shown.fog) paintFog(canvases.fog, scene, (SIGHT / (x1 - x0)) * canvases.fog.width);
    for (const name of /** @type {("start" | "target")[]} */ (["start", "target"])) {
      const [x, y] = this.pixels(...this[name]);
      handles[name].style.transform = `translate(${x / ratio}px,${y / ratio}px)`;
    }
    this.showNumbers();
  }

  /**
   * Place (Å) to pixels of the canvases.
   * @param {number} x
   * @param {number} y
   * @returns {Place}
   */
  pixels(x, y) {
    const [x0, x1, y0, y1] = this.surface.window, { width, height } = this.map.canvases.walk;
    return [((x - x0) / (x1 - x0)) * width, ((y1 - y) / (y1 - y0)) * height];
  }

  showNumbers() {
    this.settings.show(this.step_size, `${brief(this.step_size)} Å²/eV`, this.steps);
    const words = wordsOf(this.walk, this.back, this.step_size, this.setting.limits);
    setText(this.words.end, words.end);
    setText(this.words.map, words.map);
    setText(this.words.back, words.back);
    this.words.end.classList.toggle("alarm", this.walk.lost);
    setText(this.chart.lastTick, String(this.steps));
    this.chart.show(this.back?.size ?? null, this.steps);
    this.say(words);
  }

  /**
   * Tell those who cannot see it; not at every move, which nobody could listen to.
   * @param {ReturnType<typeof wordsOf>} words
   */
  sayNow(words) {
    const all = Object.values(words).join(" ");
    this.spoken.textContent = all;
    this.el.setAttribute("aria-label", `Foggy valley, ${this.landscape}`);
    this.map.canvases.walk.setAttribute("aria-label", all);
    this.chart.el.setAttribute("aria-label", words.back);
    for (const name of /** @type {("start" | "target")[]} */ (["start", "target"])) {
      this.map.handles[name].setAttribute("aria-label", `${name} at ${placed(this[name])} Å; arrow keys move it, ` +
        "plus and minus change the step size, page up and page down the number of steps");
    }
  }
}

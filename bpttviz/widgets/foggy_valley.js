/**
 * FoggyValley: a landscape to walk on. Drag the start, the star, the step size; the walk and the
 * gradient's way back are worked out here, on a surface that Python surveyed. Python is asked only
 * to train.
 *
 * `render` is for anywidget, `mount` for a page without a kernel.
 *
 * @typedef {Object} Visit  how a landscape is first met
 * @property {[number, number]} start   Å
 * @property {[number, number]} target  Å
 * @property {number} step_size  Å²/eV
 * @property {number} steps
 *
 * @typedef {Object} Frame  a landscape as it was after an update of its training
 * @property {number} update
 * @property {number} distance  Å, from the walk's end to the target
 * @property {import("./walk.js").TerrainData} terrain
 *
 * @typedef {Object} Setting
 * @property {Object<string, {visit: Visit, terrain: import("./walk.js").TerrainData}>} valleys
 * @property {string[]} tints   colours of basins
 * @property {string} band      colour of the gradient
 * @property {number} highest   eV above the lowest place: the last colour
 * @property {[number, number]} sizes  smallest and largest step size, Å²/eV
 * @property {number} most      steps
 * @property {{faded: number, exploded: number, stable: number}} limits
 */
import { Terrain, curvatures, lookBack, verdict, walk } from "./walk.js";
import { button, onTheme, seldom, svg, tag } from "./elements.js";
import { PageModel } from "./pagemodel.js";
import { paintGround } from "./ground.js";

const NUDGE = 0.02;          // Å, an arrow key; five times as much with shift
const FINER = 1.05;          // factor of the step size, + and -
const BAND = 17;             // pixels of the gradient's band where it is as large as at the end
const ROOM = 15;             // pixels between two arrows
const SIGHT = 0.2;           // Å that a walker sees in the fog
const LONG = 34;             // pixels: no arrow is longer
const PATIENCE = 3000;       // ms until a kernel that does not answer is said not to
const PACE = 90;             // ms a step when the walk is played
const CHART = { width: 280, height: 118, left: 40, right: 8, top: 22, bottom: 22, decades: [-4, 4] };

const TRAITS = ["landscape", "start", "target", "step_size", "steps", "frame"];

/** A place in words. */
const placed = ([x, y]) => `(${x.toFixed(2)}, ${y.toFixed(2)})`;

/** A number with three digits, without an exponent where it can be read without. */
function brief(value) {
  if (value === 0 || !Number.isFinite(value)) return String(value);
  return Math.abs(value) >= 1e-3 && Math.abs(value) < 1e4
    ? String(Number(value.toPrecision(3))) : value.toExponential(0);
}

/** Write a text where it is another one: the same one again would be laid out and painted again. */
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export class FoggyValley {
  /**
   * @param {HTMLElement} el
   * @param {Object} model  anywidget's, or a `PageModel`
   */
  constructor(el, model) {
    this.model = model;
    /** @type {Setting} */
    this.setting = model.get("setting");
    this.shown = { basins: true, gradient: true, fog: false };
    this.drawn = 0; // how often, for those who measure it
    this.moment = null; // while the walk is played: {step, back}
    this.el = tag("section", { class: "bpttviz-foggy-valley", role: "group" }, this.map(), this.side());
    this.el.bpttvizValley = this; // for tests and the console
    el.replaceChildren(this.el);
    this.tell = seldom(() => this.tellNow());
    this.say = seldom((words) => this.sayNow(words));
    this.resized = new ResizeObserver(() => this.resize());
    this.resized.observe(this.mapBox);
    this.unwatch = onTheme(() => this.ground());
    this.adopt();
  }

  destroy() {
    this.gone = true;
    this.resized.disconnect();
    this.unwatch();
  }

  // --- what is on the page ------------------------------------------------------------------

  map() {
    const handle = (name, words) => {
      const element = tag("button", { type: "button", class: `handle ${name}`, title: words });
      element.addEventListener("keydown", (event) => this.onArrow(event, name));
      return element;
    };
    this.groundCanvas = tag("canvas", { "aria-hidden": "true" });
    this.fogCanvas = tag("canvas", { "aria-hidden": "true" });
    this.walkCanvas = tag("canvas", { role: "img" });
    this.handles = {
      target: handle("target", "Where the walk should end: drag it, or move it with the arrow keys"),
      start: handle("start", "Where the walk starts: drag it, or move it with the arrow keys"),
    };
    this.handles.target.append(star());
    this.mapBox = tag("div", { class: "map" }, this.groundCanvas, this.fogCanvas, this.walkCanvas,
      this.handles.target, this.handles.start);
    this.mapBox.addEventListener("pointerdown", (event) => this.onPress(event));
    this.mapBox.addEventListener("pointermove", (event) => this.onDrag(event));
    for (const end of ["pointerup", "pointercancel"]) {
      this.mapBox.addEventListener(end, () => this.release());
    }
    return tag("div", { class: "left" }, this.mapBox, this.legend());
  }

  legend() {
    const item = (mark, words) => tag("li", {}, tag("span", { class: `mark ${mark}`, "aria-hidden": "true" }), words);
    const goal = item("goal", "where the walk should end");
    goal.firstChild.append(star());
    return tag("ul", { class: "legend" },
      item("begin", "start"), goal, item("stop", "where it ends"),
      item("wide", "the gradient: as wide as it is large; arrows: where to push for a nearer end"),
      tag("li", {}, "Drag the circle or the star. Arrow keys move them, + and − change η, page up and page down K."));
  }

  side() {
    this.choice = tag("select", { "aria-label": "landscape" },
      ...Object.keys(this.setting.valleys).map((name) => tag("option", { value: name }, name)));
    this.choice.addEventListener("change", () => this.visit(this.choice.value));
    const [lowest, highest] = this.setting.sizes;
    this.sizeSlider = tag("input", { type: "range", min: 0, max: 400, step: 1, "aria-label": "step size η" });
    this.sizeSlider.addEventListener("input", () => this.set({
      step_size: Number((lowest * (highest / lowest) ** (this.sizeSlider.value / 400)).toPrecision(3)),
    }));
    this.stepsSlider = tag("input", { type: "range", min: 1, max: this.setting.most, step: 1,
                                      "aria-label": "number of steps K" });
    this.stepsSlider.addEventListener("input", () => this.set({ steps: Number(this.stepsSlider.value) }));
    this.sizeOut = tag("output", {});
    this.stepsOut = tag("output", {});
    const words = () => tag("p", { class: "words" });
    this.endWords = words();
    this.mapWords = words();
    this.backWords = words();
    this.chart = this.makeChart();
    this.spoken = tag("p", { class: "spoken", role: "status" });
    const side = tag("div", { class: "side" },
      tag("label", {}, "landscape", this.choice),
      tag("label", {}, tag("span", {}, "step size η ", this.sizeOut), this.sizeSlider),
      tag("label", {}, tag("span", {}, "steps K ", this.stepsOut), this.stepsSlider),
      this.toggles(), this.endWords, this.mapWords, this.backWords, this.chart, this.training(),
      this.spoken);
    side.addEventListener("keydown", (event) => event.stopPropagation()); // not the notebook's
    return side;
  }

  toggles() {
    const toggle = (name, words) => {
      const element = button(name, words, () => {
        this.shown[name] = !this.shown[name];
        element.setAttribute("aria-pressed", String(this.shown[name]));
        if (name === "basins") this.ground();
        this.draw();
      });
      element.setAttribute("aria-pressed", String(this.shown[name]));
      return element;
    };
    this.playButton = button("▶ walk", "Walk step by step, then let the gradient come back", () => this.play());
    this.playButton.className = "play";
    return tag("div", { class: "row", role: "toolbar", "aria-label": "what is shown" },
      this.playButton,
      toggle("basins", "A colour for each resting place and all that drains to it"),
      toggle("gradient", "The gradient on its way back"),
      toggle("fog", "Fog: only what the walker can feel"));
  }

  training() {
    this.trainButton = button("Train through the path",
      "Bend the landscape until the walk ends at the star", () => this.ask());
    this.trainButton.className = "play";
    this.overButton = button("Start over", "Start over: back to the landscape as it was", () => this.send("restore"));
    this.frameSlider = tag("input", { type: "range", min: 0, max: 1, step: 1, "aria-label": "training" });
    this.frameSlider.addEventListener("input", () => this.set({ frame: Number(this.frameSlider.value) }));
    this.frameOut = tag("output", {});
    this.frameRow = tag("label", {}, tag("span", {}, "training ", this.frameOut), this.frameSlider);
    this.statusLine = tag("p", { class: "status", role: "status" });
    return tag("div", { class: "training" },
      tag("div", { class: "row" }, this.trainButton, this.overButton), this.frameRow, this.statusLine);
  }

  makeChart() {
    const { width, height, left, right, top, bottom, decades: [low, high] } = CHART;
    const y = (power) => top + ((high - power) / (high - low)) * (height - top - bottom);
    this.chartY = (value) => y(Math.min(Math.max(Math.log10(value), low), high));
    this.chartX = (step) => left + (step / Math.max(this.steps, 1)) * (width - left - right);
    const { faded, exploded } = this.setting.limits;
    const limit = (value, text) => [
      svg("line", { class: "limit", x1: left, x2: width - right, y1: this.chartY(value), y2: this.chartY(value) }),
      svg("text", { class: "tick", x: width - right, y: this.chartY(value) - 3, "text-anchor": "end" }, text),
    ];
    this.curve = svg("path", { class: "curve" });
    this.lastTick = svg("text", { class: "tick", x: width - right, y: height - 8, "text-anchor": "end" });
    const ticks = [-4, -2, 0, 2, 4].map((power) => svg("text", {
      class: "tick", x: left - 5, y: y(power) + 3.5, "text-anchor": "end" },
      power === 0 ? "1" : `10${power < 0 ? "⁻" : ""}${"⁰¹²³⁴"[Math.abs(power)]}`));
    return svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "chart", role: "img" },
      svg("text", { class: "title", x: 4, y: 13 }, "size of dL/dX, compared with the end"),
      ...ticks, ...limit(faded, "faded"), ...limit(exploded, "exploded"),
      svg("path", { class: "axis", d: `M${left} ${top}V${height - bottom}H${width - right}` }),
      svg("text", { class: "tick", x: left, y: height - 8, "text-anchor": "middle" }, "0"),
      svg("text", { class: "tick", x: (left + width - right) / 2, y: height - 8, "text-anchor": "middle" }, "step"),
      this.lastTick, this.curve);
  }

  // --- state ----------------------------------------------------------------------------------

  /** Take everything from the model. */
  adopt() {
    for (const name of TRAITS) this[name] = this.model.get(name);
    this.survey();
  }

  /** Give everything to the model, which reports each trait back at once. */
  tellNow() {
    this.telling = true;
    for (const name of TRAITS) this.model.set(name, this[name]);
    this.telling = false;
    this.model.save_changes();
  }

  /** The model changed a trait; what the reader holds in his hand stays. */
  onModel(name) {
    const value = this.model.get(name);
    if (this.telling || name === this.dragged || JSON.stringify(this[name]) === JSON.stringify(value)) return;
    this[name] = value;
    if (name === "landscape" || name === "frame") this.survey();
    else this.draw();
  }

  /** The reader changed something. */
  set(changes) {
    Object.assign(this, changes);
    this.moment = null;
    this.tell();
    if ("landscape" in changes || "frame" in changes) this.survey();
    else this.draw();
  }

  /** Go to another landscape, and begin there as everyone does. */
  visit(name) {
    this.set({ landscape: name, frame: 0, ...this.setting.valleys[name].visit });
  }

  /** The trained states of this landscape. @returns {Frame[]} */
  get frames() {
    return this.model.get("frames")[this.landscape] ?? [];
  }

  /** Another terrain: the landscape itself, a trained state, or the one in training. */
  survey() {
    const live = this.model.get("live");
    const data = live.landscape === this.landscape ? live.terrain
      : this.frames[this.frame - 1]?.terrain ?? this.setting.valleys[this.landscape].terrain;
    this.terrain = new Terrain(data);
    const [x0, x1, y0, y1] = this.terrain.window;
    this.mapBox.style.aspectRatio = `${x1 - x0} / ${y1 - y0}`;
    this.choice.value = this.landscape;
    this.resize(true);
    this.showTraining();
  }

  // --- pointer and keys -----------------------------------------------------------------------

  /** The place (Å) under a pointer, kept inside the window. */
  placeOf(event) {
    const box = this.mapBox.getBoundingClientRect();
    const [x0, x1, y0, y1] = this.terrain.window;
    return this.inside(x0 + ((event.clientX - box.left) / box.width) * (x1 - x0),
      y1 - ((event.clientY - box.top) / box.height) * (y1 - y0));
  }

  inside(x, y) {
    const [x0, x1, y0, y1] = this.terrain.window;
    const kept = (value, low, high) => Number(Math.min(Math.max(value, low), high).toFixed(4));
    return [kept(x, x0, x1), kept(y, y0, y1)];
  }

  onPress(event) {
    if (event.button) return;
    this.dragged = event.target.closest(".target") ? "target" : "start";
    this.mapBox.setPointerCapture(event.pointerId);
    this.handles[this.dragged].focus({ preventScroll: true });
    this.set({ [this.dragged]: this.placeOf(event) });
    event.preventDefault();
  }

  onDrag(event) {
    if (this.dragged) this.set({ [this.dragged]: this.placeOf(event) });
  }

  release() {
    this.dragged = null;
  }

  onArrow(event, name) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const far = event.shiftKey ? 5 * NUDGE : NUDGE;
    const move = { ArrowLeft: [-far, 0], ArrowRight: [far, 0], ArrowUp: [0, far], ArrowDown: [0, -far] }[event.key];
    const [lowest, highest] = this.setting.sizes;
    if (move) this.set({ [name]: this.inside(this[name][0] + move[0], this[name][1] + move[1]) });
    else if ("+-".includes(event.key)) {
      const size = this.step_size * (event.key === "+" ? FINER : 1 / FINER);
      this.set({ step_size: Number(Math.min(Math.max(size, lowest), highest).toPrecision(3)) });
    } else if (event.key === "PageUp" || event.key === "PageDown") {
      const steps = this.steps + (event.key === "PageUp" ? 1 : -1);
      this.set({ steps: Math.min(Math.max(steps, 1), this.setting.most) });
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
    const tick = (now) => {
      if (this.gone || this.moment !== moment) return;
      // A frame's time may lie before the moment at which it was asked for.
      const steps = Math.max(now - began, 0) / PACE, made = this.walk.made;
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

  // --- training -------------------------------------------------------------------------------

  get hasKernel() {
    return typeof this.model.send === "function";
  }

  send(what) {
    this.model.send({ do: what });
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => {
      this.statusLine.textContent = "No answer yet: this button needs a kernel that is running and not busy.";
    }, PATIENCE);
  }

  ask() {
    if (this.model.get("training")) return this.send("stop");
    this.tellNow();
    this.send("train");
  }

  /** Buttons, slider and words of training. */
  showTraining() {
    clearTimeout(this.waiting);
    const { frames } = this, training = this.model.get("training");
    this.trainButton.textContent = training ? "Stop" : "Train through the path";
    this.trainButton.setAttribute("aria-label", this.trainButton.textContent);
    this.trainButton.disabled = !this.hasKernel;
    this.overButton.disabled = !this.hasKernel || training || !frames.length;
    this.frameRow.hidden = training || !frames.length;
    this.frameSlider.max = frames.length;
    this.frameSlider.value = this.frame;
    const chosen = frames[this.frame - 1];
    this.frameOut.textContent = chosen ? `after update ${chosen.update}` : "before the first update";
    this.frameSlider.setAttribute("aria-valuetext", this.frameOut.textContent);
    const without = frames.length ? "Training needs a kernel; the slider plays one that was made."
      : "Training needs a kernel, and this page has none. Everything else works.";
    this.statusLine.textContent = this.hasKernel ? this.model.get("status") : without;
  }

  // --- drawing --------------------------------------------------------------------------------

  resize(always = false) {
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    const width = Math.round(this.mapBox.clientWidth * ratio);
    const height = Math.round(this.mapBox.clientHeight * ratio);
    if (!width || !height) return;
    if (!always && this.groundCanvas.width === width && this.groundCanvas.height === height) return;
    for (const canvas of [this.groundCanvas, this.fogCanvas, this.walkCanvas]) {
      if (canvas.width !== width) canvas.width = width;
      if (canvas.height !== height) canvas.height = height;
    }
    this.ratio = ratio;
    this.ground();
    this.draw();
  }

  /** A colour of the stylesheet. */
  colour(name) {
    return getComputedStyle(this.el).getPropertyValue(name).trim();
  }

  ground() {
    this.colours = Object.fromEntries(["ink", "paper", "low", "high", "line", "band", "fog"]
      .map((name) => [name, this.colour(`--${name}`)]));
    const { tints, highest } = this.setting;
    paintGround(this.groundCanvas, this.terrain, { ...this.colours, tints, highest, basins: this.shown.basins });
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
    this.walk = walk(this.terrain, this.start, this.step_size, this.steps);
    this.back = this.walk.lost ? null : lookBack(this.walk, this.step_size, this.target);
    this.drawWalk();
    this.drawFog();
    this.showHandles();
    this.showNumbers();
  }

  /** Place (Å) to pixels of the canvases. */
  pixels(x, y) {
    const [x0, x1, y0, y1] = this.terrain.window;
    return [((x - x0) / (x1 - x0)) * this.walkCanvas.width, ((y1 - y) / (y1 - y0)) * this.walkCanvas.height];
  }

  drawWalk() {
    const context = this.walkCanvas.getContext("2d"), { walk: way, back, ratio, colours, moment } = this;
    context.clearRect(0, 0, this.walkCanvas.width, this.walkCanvas.height);
    const until = moment ? moment.step : way.made;
    const places = Array.from(way.x.subarray(0, until + 1), (x, t) => this.pixels(x, way.y[t]));
    context.lineJoin = context.lineCap = "round";
    if (back && this.shown.gradient) this.drawBack(context, places, moment ? moment.back : 0);
    const line = (colour, width) => {
      context.strokeStyle = context.fillStyle = colour;
      context.lineWidth = width * ratio;
      context.beginPath();
      places.forEach((place, t) => (t ? context.lineTo(...place) : context.moveTo(...place)));
      context.stroke();
    };
    line(colours.paper, 4);
    line(colours.ink, 1.8);
    places.forEach((place, t) => {
      if (t) dot(context, place, (t === until ? 6.5 : 2.8) * ratio, colours.ink, colours.paper, ratio);
    });
    if (way.lost && until === way.made) this.drawLost(context, places);
  }

  /** The gradient: a band along the path, as wide as it is large, and an arrow where it pulls. */
  drawBack(context, places, from) {
    const { back, ratio, colours } = this, last = back.size[back.size.length - 1];
    // As wide as the end's band for the end's size; nothing for a hundredth of it.
    const width = (t) => BAND * Math.min(Math.max(1 + Math.log10(back.size[t] / last) / 2, 0), 2.5);
    context.strokeStyle = context.fillStyle = colours.band;
    context.globalAlpha = 0.55;
    for (let t = places.length - 1; t > from; t--) {
      const wide = last > 0 ? (width(t) + width(t - 1)) / 2 : 0;
      if (!(wide > 0.2)) continue;
      context.lineWidth = wide * ratio;
      context.beginPath();
      context.moveTo(...places[t]);
      context.lineTo(...places[t - 1]);
      context.stroke();
    }
    context.globalAlpha = 1;
    let previous = null;
    for (let t = places.length - 1; t >= Math.min(from, places.length - 1); t--) {
      const long = last > 0 ? Math.min(1.6 * width(t), LONG) * ratio : 0;
      const near = previous && Math.hypot(places[t][0] - previous[0], places[t][1] - previous[1]) < ROOM * ratio;
      if (long < 5 * ratio || near) continue;
      previous = places[t];
      arrow(context, places[t], -back.x[t] / back.size[t], back.y[t] / back.size[t], long, ratio);
    }
  }

  /** A cross where the walk leaves what is seen. */
  drawLost(context, places) {
    const { width, height } = this.walkCanvas, margin = 12 * this.ratio;
    const [x, y] = places[places.length - 1];
    const at = [Math.min(Math.max(x, margin), width - margin), Math.min(Math.max(y, margin), height - margin)];
    const arm = 7 * this.ratio;
    for (const [colour, wide] of [[this.colours.paper, 7], [this.colours.band, 3.5]]) {
      context.strokeStyle = colour;
      context.lineWidth = wide * this.ratio;
      context.beginPath();
      for (const sign of [1, -1]) {
        context.moveTo(at[0] - arm, at[1] - sign * arm);
        context.lineTo(at[0] + arm, at[1] + sign * arm);
      }
      context.stroke();
    }
  }

  drawFog() {
    const context = this.fogCanvas.getContext("2d"), { width, height } = this.fogCanvas;
    if (this.foggy || this.shown.fog) context.clearRect(0, 0, width, height);
    this.foggy = this.shown.fog;
    this.fogCanvas.hidden = !this.foggy; // a layer less to put together at every move
    if (!this.foggy) return;
    context.globalCompositeOperation = "source-over";
    context.fillStyle = this.colours.fog;
    context.fillRect(0, 0, width, height);
    context.globalCompositeOperation = "destination-out";
    const [x0, x1] = this.terrain.window, reach = (SIGHT / (x1 - x0)) * width;
    const until = this.moment ? this.moment.step : this.walk.made;
    for (let t = 0; t <= until; t++) {
      const [x, y] = this.pixels(this.walk.x[t], this.walk.y[t]);
      if (!(Math.abs(x) < 1e5 && Math.abs(y) < 1e5)) continue;
      const hole = context.createRadialGradient(x, y, 0.3 * reach, x, y, reach);
      hole.addColorStop(0, "#000f");
      hole.addColorStop(1, "#0000");
      context.fillStyle = hole;
      context.fillRect(x - reach, y - reach, 2 * reach, 2 * reach);
    }
    context.globalCompositeOperation = "source-over";
  }

  showHandles() {
    for (const [name, element] of Object.entries(this.handles)) {
      const [x, y] = this.pixels(...this[name]);
      element.style.transform = `translate(${x / this.ratio}px,${y / this.ratio}px)`;
    }
  }

  showNumbers() {
    const [lowest, highest] = this.setting.sizes;
    this.sizeSlider.value = 400 * (Math.log(this.step_size / lowest) / Math.log(highest / lowest));
    this.stepsSlider.value = this.steps;
    write(this.sizeOut, `${brief(this.step_size)} Å²/eV`);
    this.sizeSlider.setAttribute("aria-valuetext", this.sizeOut.textContent);
    write(this.stepsOut, String(this.steps));
    write(this.lastTick, String(this.steps));
    const words = this.words();
    write(this.endWords, words.end);
    write(this.mapWords, words.map);
    write(this.backWords, words.back);
    this.endWords.classList.toggle("alarm", this.walk.lost);
    this.say(words);
    this.showChart();
  }

  /** Tell those who cannot see it; not at every move, which nobody could listen to. */
  sayNow(words) {
    const all = Object.values(words).join(" ");
    this.spoken.textContent = all;
    this.el.setAttribute("aria-label", `Foggy valley, ${this.landscape}`);
    this.walkCanvas.setAttribute("aria-label", all);
    this.chart.setAttribute("aria-label", words.back);
    for (const [name, element] of Object.entries(this.handles)) {
      element.setAttribute("aria-label", `${name} at ${placed(this[name])} Å; arrow keys move it, ` +
        "plus and minus change the step size, page up and page down the number of steps");
    }
  }

  showChart() {
    const { back } = this, last = back?.size[back.size.length - 1];
    const points = !back || !last ? [] : Array.from(back.size, (size, t) => [this.chartX(t), this.chartY(size / last)]);
    this.curve.setAttribute("d", points.map(([x, y], t) => `${t ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join(""));
  }

  /** What is seen, in words: the end, the map there, and the gradient. */
  words() {
    const { walk: way, back, step_size: eta } = this;
    if (way.lost) {
      return {
        end: `Lost: step ${way.made} leaves the map. Nobody here knows where that walk goes.`,
        map: "A shorter step would stay.",
        back: "No end, no gradient.",
      };
    }
    const end = [way.x[way.made], way.y[way.made]];
    const [soft, stiff] = curvatures(way.bends[way.made]);
    const factors = [1 - eta * soft, 1 - eta * stiff], radius = Math.max(...factors.map(Math.abs));
    const still = way.force < 0.01 ? "at rest" : `still pulled by ${brief(way.force)} eV/Å`;
    const fate = soft < 0 ? "not in a valley: one curvature is negative, small differences grow here"
      : factors[1] < -1 ? `too long a step: it jumps across the valley, further each time (beyond ${brief(2 / stiff)})`
        : factors[1] < 0 ? "overshoots: it lands on the other side of the valley, nearer each time"
          : "creeps down without overshooting";
    const found = verdict(back.size, radius, this.setting.limits);
    const last = back.size[way.made];
    return {
      end: `After ${way.made} steps: ${placed(end)} Å, ${back.distance.toFixed(2)} Å from the star, ${still}.`,
      map: `1 - ηλ there: ${factors[0].toFixed(2)} and ${factors[1].toFixed(2)}: ${fate}.`,
      back: last === 0 ? "The walk ends at the star: nothing to learn."
        : `Back at the start the gradient is ${brief(back.size[0] / last)} times what it is at the end: ${found}.`,
    };
  }
}

function dot(context, [x, y], radius, colour, rim, ratio) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fillStyle = colour;
  context.fill();
  context.lineWidth = 1.2 * ratio;
  context.strokeStyle = rim;
  context.stroke();
}

/** An arrow from a place (pixels) in a direction, in the colour that is set. */
function arrow(context, [x, y], ux, uy, long, ratio) {
  const head = Math.min(9 * ratio, long), half = 0.42 * head;
  const [bx, by, tx, ty] = [x + ux * (long - head), y + uy * (long - head), x + ux * long, y + uy * long];
  context.lineWidth = 2.2 * ratio;
  context.beginPath();
  context.moveTo(x, y);
  context.lineTo(bx, by);
  context.stroke();
  context.beginPath();
  context.moveTo(tx, ty);
  context.lineTo(bx - half * uy, by + half * ux);
  context.lineTo(bx + half * uy, by - half * ux);
  context.fill();
}

function star() {
  const points = Array.from({ length: 10 }, (_, k) => {
    const [radius, angle] = [k % 2 ? 4.6 : 11, (Math.PI * k) / 5];
    return `${(radius * Math.sin(angle)).toFixed(2)},${(-radius * Math.cos(angle)).toFixed(2)}`;
  });
  return svg("svg", { viewBox: "-13 -13 26 26", width: 26, height: 26, "aria-hidden": "true" },
    svg("polygon", { points: points.join(" ") }));
}

/** anywidget: keeps a `FoggyValley` and its model in step. */
export function render({ model, el }) {
  const valley = new FoggyValley(el, model);
  valley.el.dataset.model = model.get("name");
  const survey = () => valley.survey(), show = () => valley.showTraining();
  const listeners = [
    ...TRAITS.map((name) => [`change:${name}`, () => valley.onModel(name)]),
    ["change:live", survey], ["change:frames", survey], ["change:training", show], ["change:status", show],
  ];
  for (const [event, listener] of listeners) model.on(event, listener);
  return () => {
    for (const [event, listener] of listeners) model.off(event, listener);
    valley.destroy();
  };
}

/**
 * Put a valley into a page that has no kernel.
 * @param {HTMLElement} el
 * @param {Object} state  what the model would hold
 */
export function mount(el, state) {
  render({ model: new PageModel(state), el });
}

export default { render };

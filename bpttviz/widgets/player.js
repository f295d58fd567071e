/**
 * The player: two panes, one clock, three curves; in a widget or alone in a page.
 *
 * `render` is for anywidget, `mount` for a page without a kernel. Both make a `Player`, whose
 * panes are a `CanvasStage` (drawn here) or an `NglStage` (nglview's, moved from here).
 */
import { button, seldom, tag } from "./elements.js";
import { Clip } from "./clip.js";
import { Clock } from "./clock.js";
import { Curves } from "./curves.js";
import { CanvasStage } from "./canvas.js";
import { NglStage } from "./nglstage.js";

const RATES = [[2.5, "½×"], [5, "1×"], [10, "2×"], [20, "4×"], [60, "max"]];

export class Player {
  /**
   * @param {HTMLElement} el
   * @param {{step?: (step: number) => void, option?: (name: string, value: boolean) => void}} tell
   *     called when the reader, or the clock, changed something
   */
  constructor(el, tell = {}) {
    this.tell = tell;
    this.options = { arrows: false, images: false };
    this.panes = tag("div", { class: "panes" });
    this.readouts = tag("div", { class: "readouts" });
    this.curvesBox = tag("div", { class: "curves" });
    this.legend = tag("div", { class: "legend" });
    this.notes = tag("div", { class: "notes", role: "alert" });
    this.curves = new Curves(this.curvesBox, (step) => this.choose(step));
    this.el = tag("section", { class: "bpttviz-player", role: "group" },
      this.panes, this.readouts, this.transport(), this.curvesBox, this.legend, this.notes);
    this.el.addEventListener("keydown", (event) => this.onKey(event));
    this.el.bpttvizPlayer = this; // for tests and the console
    el.replaceChildren(this.el);
    this.use(new CanvasStage(this.panes));
    this.last = null;
  }

  /** Show the atoms with another stage from now on. */
  use(stage) {
    this.stage?.destroy();
    this.stage = stage;
    this.panes.hidden = stage instanceof NglStage;
    if (this.clip) {
      stage.load(this.clip);
      this.show();
    }
  }

  /** @param {import("./clip.js").Payload} payload */
  load(payload, step = 0) {
    const { rate, loop } = this.clock ?? {};
    this.clip = new Clip(payload);
    this.clock = new Clock((at, sign) => this.clip.neighbour(at, sign), this.clip.steps);
    if (rate) Object.assign(this.clock, { rate, loop });
    this.clock.go(step);
    this.el.setAttribute("aria-label", `${this.clip.structure}: ` +
      `${this.clip.paths[0].potential} on the left, ${this.clip.paths[1].potential} on the right`);
    this.slider.max = this.clip.steps;
    for (const control of this.transporters) control.disabled = this.clip.steps === 0;
    this.imagesButton.hidden = this.clip.imageOf.length === 0;
    this.el.style.setProperty("--ghost", this.clip.ghost);
    this.readouts.replaceChildren(...this.clip.paths.map((path) => this.readout(path)));
    this.legend.replaceChildren(...this.legendOf());
    this.notes.replaceChildren(...this.clip.notes.map((note) => tag("p", {}, note)));
    this.stage.load(this.clip);
    this.curves.load(this.clip);
    this.show();
  }

  destroy() {
    if (this.clock) this.clock.playing = false;
    this.stage.destroy();
    this.curves.destroy();
  }

  transport() {
    const step = (sign) => this.choose(this.clip.neighbour(this.clock.step, sign));
    this.playButton = button("▶", "Play (space)", () => this.togglePlay());
    this.playButton.className = "play";
    this.slider = tag("input", { type: "range", min: 0, max: 1, step: 1, value: 0, "aria-label": "step" });
    this.slider.addEventListener("input", () => this.choose(Number(this.slider.value)));
    this.count = tag("output", { class: "count" });
    this.loopButton = this.toggle("↻", "Begin again at the end", true, (on) => { this.clock.loop = on; });
    this.loopButton.classList.add("loop");
    this.arrowsButton = this.toggle("arrows", "Arrows from each atom to its place in the reference end",
      false, (on) => this.choose(this.clock.step, { arrows: on }));
    this.imagesButton = this.toggle("periodic images", "Repeat atoms next to the cell's faces",
      false, (on) => this.choose(this.clock.step, { images: on }));
    const speed = tag("select", { "aria-label": "speed", title: "Speed" },
      ...RATES.map(([rate, text]) => tag("option", { value: rate }, text)));
    speed.value = "5";
    speed.addEventListener("change", () => { this.clock.rate = Number(speed.value); });
    const back = button("◂", "One step back (left arrow)", () => step(-1));
    const on = button("▸", "One step on (right arrow)", () => step(1));
    this.transporters = [this.playButton, back, on, this.slider, this.loopButton, speed];
    return tag("div", { class: "transport", role: "toolbar", "aria-label": "clock and view" },
      this.playButton, back, on, this.slider, this.count, this.loopButton, speed,
      this.arrowsButton, this.imagesButton);
  }

  /** A button that stays down. */
  toggle(text, words, pressed, onChange) {
    const element = button(text, words, () => {
      const down = element.getAttribute("aria-pressed") !== "true";
      element.setAttribute("aria-pressed", String(down));
      onChange(down);
    });
    element.setAttribute("aria-pressed", String(pressed));
    return element;
  }

  readout(path) {
    const swatch = tag("span", { class: "swatch", style: `--colour:${path.colour}`, "aria-hidden": "true" });
    const numbers = tag("span", { class: "numbers" });
    return tag("div", { class: "readout" }, swatch, tag("b", {}, path.potential), " ", numbers);
  }

  legendOf() {
    const { scale, limit, magnified } = this.clip;
    const bar = tag("span", { class: "bar", role: "img", "aria-label": "colour scale from light to dark",
                              style: `background:linear-gradient(to right,${scale.join(",")})` });
    const ball = tag("span", { class: "ball", "aria-hidden": "true" });
    this.arrowWords = tag("span", {}, magnified === 1
      ? "→ what is left to the reference end"
      : `→ what is left to the reference end, ${magnified} times as long`);
    return [
      tag("span", {}, "distance to the reference end: 0 ", bar, ` ${limit.toFixed(2)} Å or more`),
      tag("span", {}, ball, " the reference end"), this.arrowWords,
      tag("span", { class: "hint" }, "drag to turn both panes"),
    ];
  }

  /** The reader, or the clock, wants another step or option. */
  choose(step, options = {}) {
    this.clock.go(step);
    this.set(options);
    this.tell.step?.(this.clock.step);
    for (const [name, value] of Object.entries(options)) this.tell.option?.(name, value);
  }

  /** Go to a step because someone else did; nobody is told. */
  go(step) {
    if (step !== this.clock.step) {
      this.clock.go(step);
      this.show();
    }
  }

  /** Set options (arrows, images) and show. */
  set(options) {
    Object.assign(this.options, options);
    this.arrowsButton.setAttribute("aria-pressed", String(this.options.arrows));
    this.imagesButton.setAttribute("aria-pressed", String(this.options.images));
    this.show();
  }

  togglePlay() {
    this.clock.toggle();
    this.tell.step?.(this.clock.step);
    this.show();
    let before = performance.now();
    const tick = (now) => {
      if (!this.clock.playing || !this.el.isConnected) return;
      if (this.clock.advance(now - before)) {
        this.show();
        this.tell.step?.(this.clock.step);
      }
      before = now;
      requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }

  show() {
    const { clip, clock } = this;
    if (!clip) return;
    const { step } = clock;
    const words = clip.paths.map((path, index) => {
      const text = stateOf(path, step);
      const numbers = this.readouts.children[index].lastChild;
      if (numbers.textContent !== text) numbers.textContent = text;
      return `${path.potential} ${text}`;
    });
    this.slider.value = step;
    this.slider.setAttribute("aria-valuetext", `step ${step} of ${clip.steps}: ${words.join("; ")}`);
    this.count.textContent = `${step} / ${clip.steps}`;
    this.playButton.textContent = clock.playing ? "❚❚" : "▶";
    this.playButton.setAttribute("aria-label", clock.playing ? "Pause (space)" : "Play (space)");
    this.arrowWords.hidden = !this.options.arrows;
    this.curves.show(step);
    this.stage.draw({ step, ...this.options });
  }

  onKey(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || event.target.tagName === "SELECT") return;
    const isButton = event.target.tagName === "BUTTON";
    const to = { ArrowLeft: this.clip.neighbour(this.clock.step, -1), ArrowDown: this.clip.neighbour(this.clock.step, -1),
                 ArrowRight: this.clip.neighbour(this.clock.step, 1), ArrowUp: this.clip.neighbour(this.clock.step, 1),
                 Home: 0, End: this.clip.steps }[event.key];
    if (to !== undefined) this.choose(to);
    else if (event.key === " " && !isButton) this.togglePlay();
    else {
      // Enter and space press a button as everywhere; the notebook must not see them.
      if (isButton && (event.key === " " || event.key === "Enter")) event.stopPropagation();
      return;
    }
    event.preventDefault();
    event.stopPropagation(); // the notebook has uses of its own for these keys
  }
}

/** What is seen of a path at a step, in words. */
function stateOf(path, step) {
  const held = path.held(step);
  if (path.gone(step)) return `${path.lost} (shown: step ${held})`;
  const parts = [`step ${held}`];
  if (path.deltaQ[held] !== null) parts.push(`ΔQ ${path.deltaQ[held].toFixed(2)} amu½ Å`);
  if (path.fmax[held] !== null) parts.push(`largest force ${path.fmax[held].toPrecision(2)} eV/Å`);
  return parts.join(" · ");
}

/**
 * Put a player into a page that has no kernel.
 * @param {HTMLElement} el
 * @param {import("./clip.js").Payload} payload
 */
export function mount(el, payload) {
  const player = new Player(el);
  player.load(payload);
  return player;
}

/** anywidget: keeps a `Player` and its model in step. */
export function render({ model, el }) {
  const tellStep = seldom((step) => {
    model.set("step", step);
    model.save_changes();
  });
  const player = new Player(el, {
    step: tellStep,
    option: (name, value) => {
      model.set(name, value);
      model.save_changes();
    },
  });
  player.el.dataset.model = model.get("name");
  const load = () => player.load(model.get("payload"), model.get("step"));
  const go = () => {
    tellStep.forget(); // what was on its way is older than what is asked for now
    player.go(model.get("step"));
  };
  const set = () => player.set({ arrows: model.get("arrows"), images: model.get("images") });
  const listeners = [["change:payload", load], ["change:step", go], ["change:arrows", set], ["change:images", set]];
  for (const [event, listener] of listeners) model.on(event, listener);

  const views = model.get("views");
  const stage = views.length ? new NglStage(model.widget_manager, views, player.el) : null;
  if (stage) player.use(stage);
  load();
  set();
  stage?.connect().catch((error) => {
    console.warn(`bpttviz: ${error.message}; its own player takes over`);
    player.use(new CanvasStage(player.panes));
    model.set("missing", true);
    model.save_changes();
  });
  return () => {
    for (const [event, listener] of listeners) model.off(event, listener);
    player.destroy();
  };
}

export default { render };

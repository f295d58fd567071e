/**
 * The player: two panes, one clock, three curves. Its panes are a `CanvasStage` (drawn here) or an
 * `NglStage` (nglview's, moved from here).
 */
import { button, setText, tag, toggleButton } from "../shared/dom.js";
import { AtomDetails, pickByClick } from "./atom_details.js";
import { CanvasStage } from "./canvas_stage.js";
import { Clock, run } from "./clock.js";
import { Comparison, lastNotAfter } from "./comparison.js";
import { Curves } from "./curves.js";
import { NglStage } from "./ngl_stage.js";

/** Steps a second, and what that is called. @type {[number, string][]} */
const RATES = [[2.5, "½×"], [5, "1×"], [10, "2×"], [20, "4×"], [60, "max"]];

const MOST_EXAGGERATED = 20; // times as far from the reference as atoms can be drawn

/** @typedef {{arrows: boolean, images: boolean, exaggeration: number, atom: number}} Options */

export class Player {
  /**
   * @param {HTMLElement} el
   * @param {{step?: (step: number) => void, option?: (name: string, value: boolean | number) => void}} tell
   *     called when the reader, or the clock, changed something
   */
  constructor(el, tell = {}) {
    this.tell = tell;
    /** @type {Comparison | null} */
    this.comparison = null;
    /** @type {CanvasStage | NglStage | null} */
    this.stage = null;
    this.clock = new Clock((at, sign) => this.comparison?.neighbour(at, sign) ?? at, 0);
    /** @type {Options} */
    this.options = { arrows: false, images: false, exaggeration: 1, atom: -1 };
    this.panes = tag("div", { class: "panes" });
    this.readouts = tag("div", { class: "readouts" });
    this.curvesBox = tag("div", { class: "curves" });
    this.legend = tag("div", { class: "legend" });
    this.arrowWords = tag("span");
    this.exaggeratedWords = tag("span", { class: "warning" });
    this.notes = tag("div", { class: "notes", role: "alert" });
    this.curves = new Curves(this.curvesBox, (step) => this.choose(step));
    this.atomDetails = new AtomDetails(this.curves, (atom) => this.pick(atom));
    pickByClick(this.panes, () => this.stage, (atom) => this.pick(atom));
    this.el = tag("section", { class: "bpttviz-player", role: "group" },
      this.panes, this.readouts, this.transport(), this.viewOptions(), this.curvesBox,
      this.atomDetails.el, this.legend, this.notes);
    this.el.addEventListener("keydown", (event) => this.onKey(event));
    Object.assign(this.el, { bpttvizPlayer: this }); // for tests and the console
    el.replaceChildren(this.el);
    this.use(new CanvasStage(this.panes));
  }

  /**
   * Show the atoms with another stage from now on.
   * @param {CanvasStage | NglStage} stage
   */
  use(stage) {
    this.stage?.destroy();
    this.stage = stage;
    this.panes.hidden = stage instanceof NglStage;
    if (stage instanceof NglStage) stage.onPick = (atom) => this.pick(atom);
    if (this.comparison) {
      stage.load(this.comparison);
      this.show();
    }
  }

  /**
   * Another comparison. One of the structure that is shown takes its place while all goes on: what
   * plays plays on, and the clock stays where it is (at the new end, if it stood at the end).
   * @param {import("./comparison.js").Payload} payload
   * @param {number} [step]  where to go instead, unless it plays
   */
  load(payload, step) {
    const { clock } = this, before = this.comparison;
    this.comparison = new Comparison(payload);
    const same = before?.structure === payload.structure && before.atoms === this.comparison.atoms;
    const place = clock.playing || clock.step < clock.last ? clock.step : this.comparison.steps;
    clock.playing &&= same && this.comparison.steps > 0;
    clock.last = this.comparison.steps;
    if (!clock.playing) clock.go((same ? step ?? place : step) ?? 0);
    else clock.step = this.comparison.frameAt(Math.min(place, clock.last)); // its ticks go on, too
    if (!same) this.options.atom = -1;
    const { structure, paths, steps, kept, goesOn, mapSteps, imageOf, ghost, notes } = this.comparison;
    this.el.setAttribute("aria-label",
      `${structure}: ${paths[0].potential} on the left, ${paths[1].potential} on the right`);
    this.clock.pauses = goesOn ? [mapSteps] : [];
    this.slider.max = String(Math.max(kept.length - 1, 1));
    this.endOfMapButton.hidden = this.restButton.hidden = !goesOn;
    for (const control of this.transporters) control.disabled = steps === 0;
    this.imagesButton.hidden = imageOf.length === 0;
    this.el.style.setProperty("--ghost", ghost);
    this.readouts.replaceChildren(...paths.map((path) => this.readout(path)));
    this.legend.replaceChildren(...this.legendOf(this.comparison));
    const said = [...this.notes.children].map((note) => note.textContent); // once is enough for who listens
    if (said.join("\n") !== notes.join("\n")) this.notes.replaceChildren(...notes.map((note) => tag("p", {}, note)));
    this.stage?.load(this.comparison);
    this.curves.load(this.comparison);
    this.atomDetails.load(this.comparison);
    this.show();
  }

  destroy() {
    this.clock.playing = false;
    this.stage?.destroy();
    this.curves.destroy();
  }

  /** The clock's buttons and slider. */
  transport() {
    const step = (/** @type {number} */ sign) => this.choose(this.clock.neighbour(this.clock.step, sign));
    this.playButton = button("▶", "Play (space)", () => this.togglePlay());
    this.playButton.className = "play";
    // A place of the slider is a frame: those on the way to rest are some steps apart.
    this.slider = tag("input", { type: "range", min: 0, max: 1, step: 1, value: 0, "aria-label": "step" });
    this.slider.addEventListener("input", () =>
      this.choose(this.comparison?.kept[Number(this.slider.value)] ?? 0));
    this.count = tag("output", { class: "count" });
    this.loopButton = toggleButton("↻", "Begin again at the end", true, (on) => { this.clock.loop = on; });
    this.loopButton.classList.add("loop");
    this.endOfMapButton = button("K", "To the map's last step, K", () => this.stopAt(this.comparison?.mapSteps ?? 0));
    this.restButton = button("rest", "To the end of the way to rest", () => this.stopAt(this.clock.last));
    const speed = tag("select", { "aria-label": "speed", title: "Speed" },
      ...RATES.map(([rate, text]) => tag("option", { value: rate }, text)));
    speed.value = "5";
    speed.addEventListener("change", () => { this.clock.rate = Number(speed.value); });
    const back = button("◂", "One step back (left arrow)", () => step(-1));
    const on = button("▸", "One step on (right arrow)", () => step(1));
    this.transporters = [this.playButton, back, on, this.slider, this.loopButton, speed];
    return tag("div", { class: "transport", role: "toolbar", "aria-label": "clock" },
      this.playButton, back, on, this.slider, this.count, this.endOfMapButton, this.restButton,
      this.loopButton, speed);
  }

  /** What else can be chosen: how atoms are shown. */
  viewOptions() {
    this.arrowsButton = toggleButton("arrows", "Arrows from each atom to its place in the reference end",
      false, (on) => this.choose(this.clock.step, { arrows: on }));
    this.imagesButton = toggleButton("periodic images", "Repeat atoms next to the cell's faces",
      false, (on) => this.choose(this.clock.step, { images: on }));
    this.exaggeration = tag("input", {
      type: "range", min: 1, max: MOST_EXAGGERATED, step: 1, value: 1, class: "exaggeration",
      "aria-label": "how many times as far from the reference end atoms are drawn",
    });
    this.exaggeration.addEventListener("input", () =>
      this.choose(this.clock.step, { exaggeration: Number(this.exaggeration.value) }));
    this.times = tag("output", { class: "times" });
    const label = tag("label", { class: "exaggerated", title: "Draw atoms farther from their places in the reference end" },
      "displacements", this.exaggeration, this.times);
    return tag("div", { class: "view-options", role: "toolbar", "aria-label": "view" },
      this.arrowsButton, this.imagesButton, label);
  }

  /** @param {import("./comparison.js").RelaxationPath} path */
  readout(path) {
    const swatch = tag("span", { class: "swatch", style: `--colour:${path.colour}`, "aria-hidden": "true" });
    const numbers = tag("span", { class: "numbers" });
    return tag("div", { class: "readout" }, swatch, tag("b", {}, path.potential), " ", numbers);
  }

  /** @param {Comparison} comparison */
  legendOf({ scale, limit, vacancies, goesOn }) {
    const bar = tag("span", { class: "bar", role: "img", "aria-label": "colour scale from light to dark",
                              style: `background:linear-gradient(to right,${scale.join(",")})` });
    const ball = tag("span", { class: "ball", "aria-hidden": "true" });
    const empty = tag("span", { class: "ball empty", "aria-hidden": "true" });
    return [
      tag("span", {}, "distance to the reference end: 0 ", bar, ` ${limit.toFixed(2)} Å or more`),
      tag("span", {}, ball, " the reference end"),
      ...(vacancies.length ? [tag("span", {}, empty, " an empty site")] : []),
      this.arrowWords, this.exaggeratedWords,
      ...(goesOn ? [tag("span", {}, "after K: on to rest, by another algorithm")] : []),
      tag("span", { class: "hint" }, "drag to turn both panes, click an atom to follow it"),
    ];
  }

  /**
   * The reader, or the clock, wants another step or option.
   * @param {number} step
   * @param {Partial<Options>} [options]
   */
  choose(step, options = {}) {
    this.clock.go(step);
    this.set(options);
    this.tell.step?.(this.clock.step);
    for (const [name, value] of Object.entries(options)) this.tell.option?.(name, value);
  }

  /** @param {number} atom  to tell about; once more, or -1: none */
  pick(atom) {
    this.choose(this.clock.step, { atom: atom === this.options.atom ? -1 : atom });
  }

  /**
   * Go to a step because someone else did; nobody is told.
   * @param {number} step
   */
  go(step) {
    if (step !== this.clock.step) {
      this.clock.go(step);
      this.show();
    }
  }

  /**
   * Set options and show.
   * @param {Partial<Options>} options
   */
  set(options) {
    Object.assign(this.options, options);
    if (!(this.options.atom < (this.comparison?.atoms ?? Infinity))) this.options.atom = -1; // of another structure
    this.arrowsButton.setAttribute("aria-pressed", String(this.options.arrows));
    this.imagesButton.setAttribute("aria-pressed", String(this.options.images));
    this.show();
  }

  /**
   * Go to a step and stay there: a clock that plays on would leave it at once.
   * @param {number} step
   */
  stopAt(step) {
    this.clock.playing = false;
    this.choose(step);
  }

  togglePlay() {
    this.clock.toggle();
    this.tell.step?.(this.clock.step);
    this.show();
    run(this.clock, this.el, () => {
      this.show();
      this.tell.step?.(this.clock.step);
    });
  }

  show() {
    const { comparison, clock } = this;
    if (!comparison) return;
    const { step } = clock;
    const words = comparison.paths.map((path, index) => {
      const text = stateOf(path, step);
      setText(this.readouts.children[index].lastElementChild ?? this.readouts, text);
      return `${path.potential} ${text}`;
    });
    const { mapSteps, kept } = comparison;
    this.slider.value = String(lastNotAfter(kept, step));
    this.slider.style.setProperty("--map", String(lastNotAfter(kept, mapSteps) / Math.max(kept.length - 1, 1)));
    const place = step > mapSteps ? `K + ${step - mapSteps}` : `${step} / ${mapSteps}`;
    this.slider.setAttribute("aria-valuetext", `step ${place}: ${words.join("; ")}`);
    this.count.textContent = place;
    this.playButton.textContent = clock.playing ? "❚❚" : "▶";
    this.playButton.setAttribute("aria-label", clock.playing ? "Pause (space)" : "Play (space)");
    const { exaggeration, arrows } = this.options;
    this.exaggeration.value = String(exaggeration);
    setText(this.times, `×${exaggeration}`);
    this.arrowWords.hidden = !arrows;
    const longer = Math.max(comparison.magnified, exaggeration);
    setText(this.arrowWords, `→ what is left to the reference end${longer === 1 ? "" : `, ${longer} times as long`}`);
    this.exaggeratedWords.hidden = exaggeration === 1;
    setText(this.exaggeratedWords, `atoms are drawn ${exaggeration} times as far from the reference end as they are`);
    this.curves.show(step);
    this.atomDetails.show(this.options.atom, step, clock.playing);
    this.stage?.draw({ step, playing: clock.playing, ...this.options });
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    const { tagName } = /** @type {Element} */ (event.target);
    if (event.altKey || event.ctrlKey || event.metaKey || tagName === "SELECT") return;
    if (event.target === this.exaggeration && event.key !== " ") {
      event.stopPropagation(); // its own keys move it
      return;
    }
    const isButton = tagName === "BUTTON";
    const to = this.stepOf(event.key);
    if (to !== undefined) this.choose(to);
    else if (event.key === " " && !isButton) this.togglePlay();
    else if (event.key === "Escape" && this.options.atom >= 0) this.pick(-1);
    else {
      // Enter and space press a button as everywhere; the notebook must not see them.
      if (isButton && (event.key === " " || event.key === "Enter")) event.stopPropagation();
      return;
    }
    event.preventDefault();
    event.stopPropagation(); // the notebook has uses of its own for these keys
  }

  /**
   * The step that a key leads to, if it leads to one.
   * @param {string} key
   */
  stepOf(key) {
    const { step, last } = this.clock;
    if (key === "ArrowLeft" || key === "ArrowDown") return this.clock.neighbour(step, -1);
    if (key === "ArrowRight" || key === "ArrowUp") return this.clock.neighbour(step, 1);
    if (key === "k") return this.comparison?.mapSteps;
    return key === "Home" ? 0 : key === "End" ? last : undefined;
  }
}

/**
 * What is seen of a path at a step, in words.
 * @param {import("./comparison.js").RelaxationPath} path
 * @param {number} step
 */
function stateOf(path, step) {
  const held = path.held(step);
  if (path.gone(step)) return `${path.lost} (shown: step ${held})`;
  const onTheWay = step > path.mapSteps && held > path.mapSteps;
  const parts = [onTheWay ? `K + ${held - path.mapSteps}${held === path.end && path.arrived ? ", at rest" : ""}` : `step ${held}`];
  const deltaQ = path.value("deltaQ", step), fmax = path.value("fmax", step);
  if (deltaQ !== null) parts.push(`ΔQ ${deltaQ.toFixed(2)} amu^½ Å`);
  if (fmax !== null) parts.push(`forces ≤ ${fmax.toPrecision(2)} eV/Å`);
  return parts.join(" · ");
}

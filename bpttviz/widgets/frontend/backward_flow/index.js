/**
 * A relaxation forward, then its gradient backward through it, on one clock. `render` is for
 * anywidget, `mount` for a page without a kernel.
 */
import { Clock, run } from "../player/clock.js";
import { button, setText, tag, toggleButton } from "../shared/dom.js";
import { OfflineModel, listen } from "../shared/model.js";
import { onThemeChange } from "../shared/theme.js";
import { throttle } from "../shared/throttle.js";
import { FlowCharts } from "./charts.js";
import { Flow, lengths } from "./flow.js";
import { FlowStage } from "./flow_stage.js";

const NAMED = 7; // atoms in the list of those that the loss listens to

class BackwardFlow {
  /**
   * @param {HTMLElement} el
   * @param {import("../shared/model.js").Model} model
   */
  constructor(el, model) {
    this.model = model;
    this.flow = new Flow(model.get("data"));
    this.clock = new Clock((moment, sign) => Math.min(Math.max(moment + sign, 0), this.flow.last), this.flow.last);
    this.tell = throttle((/** @type {number | undefined} */ moment) => {
      model.set("moment", moment);
      model.save_changes();
    });
    const pane = tag("div", { class: "pane" });
    this.stage = new FlowStage(pane, (atom) => this.follow(atom));
    this.charts = new FlowCharts((moment) => this.choose(moment));
    this.phase = tag("p", { class: "phase", role: "status" });
    this.list = tag("ol", { class: "atoms" });
    this.listTitle = tag("p", { class: "list-title" });
    this.card = tag("p", { class: "card" });
    this.scale = tag("p", { class: "scale" });
    this.el = tag("section", { class: "bpttviz-flow", role: "group", "aria-label": this.flow.words },
      this.phase,
      tag("div", { class: "upper" }, pane, tag("div", { class: "beside" }, this.listTitle, this.list, this.card)),
      this.transport(), this.charts.el, this.scale);
    this.el.dataset.model = model.get("name");
    this.el.addEventListener("keydown", (event) => this.onKey(event));
    Object.assign(this.el, { bpttvizFlow: this }); // for tests and the console
    this.rows = Array.from({ length: Math.min(NAMED, this.flow.atoms) }, () => this.row());
    this.list.append(...this.rows.map(({ item }) => item));
    el.replaceChildren(this.el);
    this.stage.loadFlow(this.flow);
    this.charts.load(this.flow);
    this.clock.go(model.get("moment"));
    this.show();
  }

  transport() {
    this.play = button("▶", "Play (space)", () => this.togglePlay());
    this.play.className = "play";
    this.slider = tag("input", { type: "range", min: 0, max: this.flow.last, step: 1, value: 0, "aria-label": "moment" });
    this.slider.addEventListener("input", () => this.choose(Number(this.slider.value)));
    // Forces are large for a step or two only: unless each step has its own scale, nothing is seen
    // of the others. Whether a gradient grows is seen on one scale.
    this.equals = [true, false];
    this.equal = toggleButton("longest arrow the same", "Longest arrow the same at every step: arrows that have shrunk can be seen then",
      true, (on) => {
        this.equals[this.flow.at(this.clock.step).way] = on;
        this.show();
      });
    const speed = tag("select", { "aria-label": "speed", title: "Speed" },
      ...[[2.5, "½×"], [5, "1×"], [10, "2×"], [20, "4×"]].map(([rate, text]) => tag("option", { value: rate }, String(text))));
    speed.value = "5";
    speed.addEventListener("change", () => { this.clock.rate = Number(speed.value); });
    return tag("div", { class: "transport", role: "toolbar", "aria-label": "clock" }, this.play,
      button("◂", "One moment earlier (left arrow)", () => this.choose(this.clock.step - 1)),
      button("▸", "One moment later (right arrow)", () => this.choose(this.clock.step + 1)),
      tag("span", { class: "way" }, "forward"), this.slider, tag("span", { class: "way back" }, "back"), speed, this.equal);
  }

  /** A line of the list: an atom's name, and how much it has. */
  row() {
    const name = tag("span", { class: "name" }), bar = tag("span", { class: "bar" }), value = tag("span", { class: "value" });
    const line = tag("button", { type: "button", "aria-pressed": "false" }, name, tag("span", { class: "track" }, bar), value);
    const made = { item: tag("li", {}, line), line, name, bar, value, atom: -1 };
    line.addEventListener("click", () => this.follow(made.atom));
    return made;
  }

  /** @param {number} moment  that the reader wants */
  choose(moment) {
    this.clock.go(moment);
    this.show();
    this.tell(this.clock.step);
  }

  /** @param {number} atom  to follow, or once more to let go; -1: none */
  follow(atom) {
    this.model.set("atom", atom === this.model.get("atom") ? -1 : atom);
    this.model.save_changes();
    this.show();
  }

  togglePlay() {
    this.clock.toggle();
    this.show();
    run(this.clock, this.el, () => {
      this.show();
      this.tell(this.clock.step);
    });
  }

  show() {
    const { flow, clock } = this;
    const { step, way } = flow.at(clock.step);
    const atom = this.model.get("atom");
    this.el.dataset.way = way ? "back" : "forward";
    const words = way
      ? `◀ Back, step ${step} of ${flow.steps}: orange arrows are dL/dX, ${flow.norms[step].toPrecision(3)} amu^½ in all` +
        (step === flow.steps ? ". The loss has just been taken, at the end." : step === 0 ? ". This is what the start would have to change." : ".")
      : `▶ Forward, step ${step} of ${flow.steps}: blue arrows are forces, the largest ${flow.paths[0].fmax[step]?.toPrecision(2)} eV/Å; ` +
        `ΔQ ${flow.paths[0].deltaQ[step]?.toFixed(2)} amu^½ Å.`;
    setText(this.phase, words);
    this.slider.value = String(clock.step);
    this.slider.setAttribute("aria-valuetext", words);
    this.play.textContent = clock.playing ? "❚❚" : "▶";
    this.play.setAttribute("aria-label", clock.playing ? "Pause (space)" : "Play (space)");
    const equal = this.equals[way];
    this.equal.setAttribute("aria-pressed", String(equal));
    this.stage.see({ step, way, atom, equal });
    this.charts.show(step, way);
    this.showList(step, way, atom);
    setText(this.card, atom < 0 ? "Click an atom to follow it." : this.describe(atom, step));
    const unit = way ? "amu^½" : "eV/Å";
    setText(this.scale, `Colour of an atom: how long its arrow is (darkest: ${flow.longestArrow(step, way, equal).toPrecision(2)} ${unit}, ${equal ? "at this step" : "of all steps"}). ` +
      "Grey outlines: the reference end. Drag to turn.");
  }

  /**
   * @param {number} step
   * @param {0 | 1} way
   * @param {number} followed
   */
  showList(step, way, followed) {
    const shares = way ? this.flow.shares(step, 1) : this.flow.partsOfEnd(step);
    setText(this.listTitle, way ? "Atoms that the loss listens to (share of |dL/dX|²)" : "Atoms far from their place (share of ΔQ²)");
    const order = this.flow.order(way);
    this.rows.forEach((row, place) => {
      row.atom = order[place];
      setText(row.name, `${this.flow.symbols[row.atom]} ${row.atom}`);
      setText(row.value, `${(100 * shares[row.atom]).toFixed(0)} %`);
      row.bar.style.width = `${(100 * shares[row.atom]).toFixed(1)}%`;
      row.line.setAttribute("aria-pressed", String(row.atom === followed));
    });
  }

  /**
   * @param {number} atom
   * @param {number} step
   */
  describe(atom, step) {
    const { flow } = this;
    const { distances } = flow.paths[0].at(step);
    const force = lengths(flow.vectorsAt(step, 0))[atom], pull = lengths(flow.vectorsAt(step, 1))[atom];
    return `${flow.symbols[atom]} ${atom} at step ${step}: ${distances[atom].toFixed(3)} Å from its reference place ` +
      `(${(100 * flow.partsOfEnd(step)[atom]).toFixed(0)} % of ΔQ²), force ${force.toFixed(2)} eV/Å, ` +
      `|dL/dX| ${pull.toFixed(2)} amu^½ (${(100 * flow.shares(step, 1)[atom]).toFixed(0)} % of the gradient's square).`;
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    const { tagName } = /** @type {Element} */ (event.target);
    if (event.altKey || event.ctrlKey || event.metaKey || tagName === "SELECT") return;
    const isButton = tagName === "BUTTON";
    const { step, last } = this.clock;
    const to = { ArrowLeft: step - 1, ArrowDown: step - 1, ArrowRight: step + 1, ArrowUp: step + 1, Home: 0, End: last }[event.key];
    if (to !== undefined) this.choose(to);
    else if (event.key === " " && !isButton) this.togglePlay();
    else if (event.key === "Escape") this.follow(-1);
    else {
      if (isButton && (event.key === " " || event.key === "Enter")) event.stopPropagation();
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  destroy() {
    this.clock.playing = false;
    this.tell.cancel();
    this.stage.destroy();
  }
}

/**
 * anywidget: keeps the view and its model in step.
 * @param {{model: import("../shared/model.js").Model, el: HTMLElement}} context
 */
export function render({ model, el }) {
  const view = new BackwardFlow(el, model);
  const stopListening = listen(model, [
    ["change:moment", () => {
      view.tell.cancel();
      if (model.get("moment") === view.clock.step) return;
      view.clock.go(model.get("moment"));
      view.show();
    }],
    ["change:atom", () => view.show()],
  ]);
  const stopWatching = onThemeChange(() => view.show());
  return () => {
    stopListening();
    stopWatching();
    view.destroy();
  };
}

/**
 * Put it into a page that has no kernel.
 * @param {HTMLElement} el
 * @param {Object<string, any>} values
 */
export function mount(el, values) {
  render({ model: new OfflineModel({ name: "", ...values }), el });
}

export default { render };

/**
 * A training while it goes on: curves, numbers, and a button that starts, stops and resumes it.
 * What is shown arrives worked out in `data`; only pixels are computed here.
 *
 * `render` is for anywidget, `mount` for a page without a kernel.
 *
 * @typedef {import("./panels.js").Point} Point
 * @typedef {import("./panels.js").Gradient} Gradient
 * @typedef {Object} Data
 * @property {string} status
 * @property {string} title
 * @property {string} headline        the status in words
 * @property {[string, string] | null} button   what it asks for, what it says
 * @property {string} words           the whole training in words
 * @property {number} updates         made so far
 * @property {number | null} plan     updates in all, where that is known
 * @property {number} epoch           epochs completed
 * @property {number | null} epochs
 * @property {[number, number] | null} pulse    steps of the update in the making, of the one before
 * @property {number} seconds         spent so far
 * @property {number | null} left     seconds to go
 * @property {number | null} memory   bytes held now
 * @property {number | null} peak     the most so far
 * @property {{label: string, training: Point[], validation: Point[], best: Point | null}} loss
 * @property {Point[]} forces         force error on the validation relaxations, eV/Å
 * @property {Point[]} norm           of the gradient, before clipping
 * @property {number | null} clip
 * @property {Gradient} gradient    its size on its way back
 * @property {string[]} notes
 * @property {string | null} error
 * @property {Object<string, string>} colours
 */
import { button, tag } from "../shared/dom.js";
import { curvesPanel, gradientPanel } from "./panels.js";

class TrainingMonitor {
  /**
   * @param {HTMLElement} el
   * @param {(what: string) => void} ask  called with what the button asks for
   */
  constructor(el, ask) {
    this.ask = ask;
    /** @type {Data | null} */
    this.data = null;
    this.said = ""; // of which state and epoch listeners were last told
    this.button = button("", "", () => this.press());
    this.state = tag("span", { class: "state" });
    this.bar = tag("progress", { "aria-label": "updates made", max: 1, value: 0 });
    this.numbers = tag("p", { class: "numbers" });
    this.panels = tag("div", { class: "panels" });
    this.verdict = tag("p", { class: "verdict" });
    this.notes = tag("div", { class: "notes" });
    this.error = tag("p", { class: "error", role: "alert" });
    this.spoken = tag("p", { class: "spoken", role: "status", "aria-live": "polite" });
    this.title = tag("b", { class: "title" });
    this.el = tag("section", { class: "bpttviz-training", role: "group" },
      tag("div", { class: "head" }, this.button, this.title, this.state), this.bar, this.numbers,
      this.error, this.panels, this.verdict, this.notes, this.spoken);
    // Enter and space press a button as everywhere; the notebook must not see them.
    this.el.addEventListener("keydown", (event) => {
      if (event.target === this.button && (event.key === " " || event.key === "Enter")) event.stopPropagation();
    });
    el.replaceChildren(this.el);
  }

  press() {
    const [what] = this.data.button;
    this.ask(what);
    // The kernel answers within a step; a second press in between would mean nothing.
    this.button.disabled = true;
    this.state.textContent = what === "stop" ? "stopping after this step" : "starting";
  }

  /** @param {Data} data */
  show(data) {
    this.data = data;
    Object.assign(this.el, { bpttvizData: data }); // for tests and the console
    this.el.dataset.status = data.status;
    this.el.setAttribute("aria-label", `${data.title}: ${data.headline}. ${data.words}`);
    this.title.textContent = data.title;
    this.state.textContent = data.headline;
    this.showButton(data);
    this.showProgress(data);
    const { loss, gradient, colours } = data;
    const last = Math.max(data.plan ?? 0, data.updates, 1);
    const clip = data.clip ? [{ value: data.clip, words: `clipped above ${data.clip}` }] : [];
    this.panels.replaceChildren(
      curvesPanel(loss.label === "loss" ? "loss" : `loss: ${loss.label.replace("^½", "½")}`, last, [
        { points: loss.training, colour: colours.training, name: "training", dots: true },
        { points: loss.validation, colour: colours.validation, name: "validation", squares: true },
      ], { ring: loss.best }),
      curvesPanel("force error, validation / eV/Å", last, [
        { points: data.forces, colour: colours.validation, name: "force error", squares: true },
      ], { empty: "no frames with forces to measure it on" }),
      gradientPanel(gradient, colours.gradient),
      curvesPanel("gradient norm", last, [
        { points: data.norm, colour: colours.gradient, name: "norm" },
      ], { logarithmic: true, levels: clip }),
    );
    this.verdict.textContent = gradient.profiles.length ? `Gradient by step: ${gradient.words}` : "";
    this.notes.replaceChildren(...data.notes.map((note) => tag("p", {}, note)));
    this.error.textContent = data.error ?? "";
    this.error.hidden = !data.error;
    this.say(data);
  }

  /** @param {Data} data */
  showButton({ button: wanted, status }) {
    this.button.hidden = !wanted && status !== "stopping";
    this.button.disabled = !wanted;
    const [what, words] = wanted ?? ["stop", "■ Stop"];
    this.button.textContent = words;
    this.button.className = what;
    this.button.title = what === "stop" ? "End between two steps; the run is saved and can be resumed"
      : "Train in the background; what the folder holds is gone on with";
    this.button.setAttribute("aria-label", words.slice(2) + " training");
  }

  /** @param {Data} data */
  showProgress(data) {
    const { updates, plan, epoch, epochs, pulse } = data;
    this.bar.hidden = !plan;
    this.bar.max = plan || 1;
    const [done, before] = pulse ?? [0, 0];
    this.bar.value = updates + (before ? Math.min(done / before, 0.99) : 0);
    const parts = [
      plan ? `update ${updates} of ${plan}` : `${updates} updates`,
      epochs ? `epoch ${epoch} of ${epochs}` : `${epoch} epochs`,
      `${duration(data.seconds)} spent`,
    ];
    if (data.left !== null) parts.push(`about ${duration(data.left)} left`);
    if (data.memory) parts.push(`memory ${gigabytes(data.memory)}`);
    if (data.peak) parts.push(`peak ${gigabytes(data.peak)}`);
    if (pulse) parts.push(`evaluation ${done}${before ? ` of about ${before}` : ""} of this update`);
    this.numbers.replaceChildren(...parts.map((part) => tag("span", {}, part)));
  }

  /**
   * Only what a listener wants to be told: a new state, an epoch, not every update.
   * @param {Data} data
   */
  say({ status, headline, epoch, epochs, loss, gradient }) {
    const key = `${status} ${epoch}`;
    if (key === this.said) return;
    this.said = key;
    const value = loss.validation.at(-1)?.[1];
    this.spoken.textContent = [
      `Training: ${headline}`,
      epoch ? `epoch ${epoch}${epochs ? ` of ${epochs}` : ""} done` : "",
      value === undefined ? "" : `validation ${value.toPrecision(3)}`,
      gradient.verdict ? `gradient ${gradient.verdict}` : "",
    ].filter(Boolean).join(", ") + ".";
  }
}

/**
 * Seconds as people say them.
 * @param {number} seconds
 */
function duration(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** @param {number} bytes */
function gigabytes(bytes) {
  return `${(bytes / 1e9).toFixed(2)} GB`;
}

/**
 * Put a training into a page that has no kernel.
 * @param {HTMLElement} el
 * @param {Data} data
 */
export function mount(el, data) {
  const view = new TrainingMonitor(el, () => {});
  view.show(data);
  return view;
}

/**
 * anywidget: shows what its model holds, and passes on what the button asks for.
 * @param {{model: import("../shared/model.js").Model, el: HTMLElement}} context
 */
export function render({ model, el }) {
  const view = new TrainingMonitor(el, (what) => model.send({ do: what }));
  view.el.dataset.model = model.get("name");
  const show = () => view.show(model.get("data"));
  model.on("change:data", show);
  show();
  return () => model.off("change:data", show);
}

export default { render };

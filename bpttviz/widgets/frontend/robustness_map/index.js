/**
 * A heat map of trainings, one cell each; a cell that is chosen is replayed below. What is shown
 * arrives worked out in `data`; only pixels are computed here.
 *
 * `render` is for anywidget, `mount` for a page without a kernel.
 *
 * @typedef {import("./cells.js").Cell} Cell
 * @typedef {import("./cells.js").Metric} Metric
 * @typedef {import("../shared/model.js").Model} Model
 * @typedef {Object} Data
 * @property {string} words           the whole map, for those who cannot see it
 * @property {string[]} procedures
 * @property {number[]} step_sizes    ascending
 * @property {number[]} steps         ascending
 * @property {Metric[]} metrics
 * @property {Cell[]} cells
 * @property {Object<string, string>} conditions    condition -> what it means
 * @property {Object<string, string>} limits        procedure -> its stable step in words
 * @property {[string, string]} axes
 * @property {[[number, number], [number, number]]} window
 * @property {[number, number][]} goals
 * @property {[number, number] | []} ground_shape   rows and columns
 * @property {string[]} verdict
 * @property {{better: string, worse: string, before: string, after: string}} colours
 */
import { tag, toggleButton } from "../shared/dom.js";
import { OfflineModel, listen } from "../shared/model.js";
import { onThemeChange } from "../shared/theme.js";
import { legendOfCells, tablesOf } from "./cells.js";
import { Replay } from "./replay.js";

const INVITATION = "Choose a cell (click it, or arrow keys and Enter): its training is replayed here.";

class RobustnessMap {
  /**
   * @param {HTMLElement} el
   * @param {Model} model
   */
  constructor(el, model) {
    this.model = model;
    this.chooser = tag("div", { class: "metrics", role: "group", "aria-label": "what the colours show" });
    this.tables = tag("div", { class: "tables" });
    this.legend = tag("div");
    this.status = tag("p", { class: "status", role: "status" });
    this.replay = new Replay(this.data);
    this.verdict = tag("ul", { class: "verdict" }, ...this.data.verdict.map((words) => tag("li", {}, words)));
    this.el = tag("section", { class: "bpttviz-robustness", role: "group", "aria-label": this.data.words },
      this.chooser, this.tables, this.legend, this.status, this.replay.el, this.verdict);
    Object.assign(this.el, { bpttvizMap: this }); // for tests and the console
    this.el.dataset.model = model.get("name");
    el.replaceChildren(this.el);
    this.draw();
    this.showSelection(false);
  }

  /** @returns {Data} */
  get data() {
    return this.model.get("data");
  }

  /** @returns {Cell | undefined} */
  get selected() {
    return this.data.cells[this.model.get("selected")];
  }

  /** @returns {Metric} */
  get metric() {
    const { metrics } = this.data;
    return metrics.find(({ key }) => key === this.model.get("metric")) ?? metrics[0];
  }

  /** @param {number} index  of a cell; -1 for none */
  choose(index) {
    this.model.set("selected", index);
    this.model.save_changes();
  }

  draw() {
    const { data, metric } = this;
    const pressed = [...this.chooser.children].findIndex((child) => child === document.activeElement);
    const buttons = data.metrics.map((one) => toggleButton(one.title, `Colour by ${one.title}`, one === metric, () => {
      this.model.set("metric", one.key);
      this.model.save_changes();
      this.draw(); // the one that is pressed again stays pressed
    }));
    this.chooser.replaceChildren(tag("span", {}, "change of"), ...buttons);
    buttons[pressed - 1]?.focus();
    this.tables.replaceChildren(...tablesOf(data, metric, this.model.get("selected"), (index) => this.choose(index)));
    this.legend.replaceChildren(legendOfCells(data, metric));
  }

  /** @param {boolean} play */
  showSelection(play) {
    const cell = this.selected, index = this.model.get("selected");
    for (const mark of this.tables.querySelectorAll("button")) {
      const chosen = mark.dataset.cell === String(index);
      mark.setAttribute("aria-pressed", String(chosen));
      if (chosen) mark.tabIndex = 0;
    }
    this.status.replaceChildren(...(cell ? [tag("b", {}, `${cell.title}: `), cell.words] : [INVITATION]));
    if (cell) this.replay.show(cell, play);
    else this.replay.hide();
  }

  destroy() {
    this.replay.pause();
  }
}

/**
 * anywidget: draws the widget and keeps it in step with its model.
 * @param {{model: Model, el: HTMLElement}} context
 */
export function render({ model, el }) {
  const map = new RobustnessMap(el, model);
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const stopListening = listen(model, [
    ["change:metric", () => map.draw()],
    ["change:selected", () => map.showSelection(!still.matches)],
  ]);
  const stopWatching = onThemeChange(() => {
    map.draw();
    map.replay.paint();
  });
  return () => {
    stopListening();
    stopWatching();
    map.destroy();
  };
}

/**
 * Put a map into a page that has no kernel.
 * @param {HTMLElement} el
 * @param {{data: Data, selected: number, metric: string}} values
 */
export function mount(el, values) {
  render({ model: new OfflineModel({ name: "", ...values }), el });
}

export default { render };

/** A form for a few numbers: a slider and a field for each, and what is wrong with it beside them. */
import { setText, tag } from "../shared/dom.js";

/**
 * @typedef {Object} Field
 * @property {string} name
 * @property {string} label
 * @property {string} hint        what the number is; stands where an error would
 * @property {number} low         the slider's ends; the field takes numbers beyond them
 * @property {number} high
 * @property {number} step        of the slider, in the logarithm to base ten where it is logarithmic
 * @property {boolean} logarithmic
 * @property {boolean} whole
 */

let rows = 0; // labels and errors are found by names that no other form of the page has

/** One number. */
class Row {
  /**
   * @param {Field} field
   * @param {(text: string) => void} ask  called with what the reader wants
   */
  constructor(field, ask) {
    this.field = field;
    const id = `bpttviz-recipe-${++rows}-${Math.random().toString(36).slice(2)}`;
    const { low, high, step, label } = field;
    const ends = field.logarithmic ? [Math.log10(low), Math.log10(high)] : [low, high];
    this.slider = tag("input", { type: "range", min: ends[0], max: ends[1], step, "aria-label": `${label}, slider` });
    this.input = tag("input", { type: "text", inputmode: "decimal", id, autocomplete: "off", "aria-describedby": `${id}-words` });
    this.words = tag("span", { class: "words", id: `${id}-words`, role: "status" });
    this.el = tag("div", { class: "row" }, tag("label", { for: id }, label), this.slider, this.input, this.words);
    this.busy = false; // the reader is at it: what arrives meanwhile must not take it away
    for (const control of [this.slider, this.input]) {
      control.addEventListener("input", () => { this.busy = true; });
      for (const done of ["change", "blur"]) control.addEventListener(done, () => { this.busy = false; });
    }
    this.slider.addEventListener("input", () => this.write(this.chosen));
    this.slider.addEventListener("change", () => ask(String(this.chosen)));
    this.input.addEventListener("change", () => ask(this.input.value));
  }

  /** What the slider says. */
  get chosen() {
    const at = Number(this.slider.value);
    const value = this.field.logarithmic ? 10 ** at : at;
    return Number(value.toPrecision(3));
  }

  /** @param {number} value */
  write(value) {
    this.input.value = String(Number(value.toPrecision(4)));
    this.slider.setAttribute("aria-valuetext", this.input.value);
  }

  /**
   * @param {number} value
   * @param {string} problem  what is wrong with what was asked for; "" if nothing
   * @param {boolean} disabled
   */
  show(value, problem, disabled) {
    if (!problem && !this.busy) {
      this.slider.value = String(this.field.logarithmic ? Math.log10(value) : value);
      this.write(value);
    }
    this.slider.disabled = this.input.disabled = disabled;
    this.input.setAttribute("aria-invalid", String(problem !== ""));
    this.words.classList.toggle("problem", problem !== "");
    this.words.title = problem;
    setText(this.words, problem || this.field.hint);
  }
}

export class RecipeForm {
  /**
   * @param {HTMLElement} el
   * @param {{title: string, fields: Field[]}} contents
   * @param {(name: string, text: string) => void} ask  called with what the reader wants
   */
  constructor(el, { title, fields }, ask) {
    this.rows = fields.map((field) => new Row(field, (text) => ask(field.name, text)));
    this.state = tag("p", { class: "state", role: "status" });
    this.el = tag("section", { class: "bpttviz-recipe", role: "group", "aria-label": title },
      tag("div", { class: "head" }, tag("b", { class: "title" }, title), this.state), ...this.rows.map((row) => row.el));
    // Keys belong to sliders and fields here; the notebook has uses of its own for them.
    this.el.addEventListener("keydown", (event) => event.stopPropagation());
    el.replaceChildren(this.el);
  }

  /**
   * @param {Object<string, number>} values
   * @param {Object<string, string>} problems
   * @param {boolean} disabled
   * @param {string} state
   */
  show(values, problems, disabled, state) {
    setText(this.state, state);
    for (const row of this.rows) row.show(values[row.field.name], problems[row.field.name] ?? "", disabled);
  }
}

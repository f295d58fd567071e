/**
 * The form of a prediction: radio buttons for choices, a field for a number.
 *
 * Model: question, choices (none: a number), unit, answer ("" for none yet), skipped, status.
 * Only `answer` and `skipped` are written here.
 */
import { tag } from "../shared/dom.js";
import { listen } from "../shared/model.js";

/** @typedef {import("../shared/model.js").Model} Model */

let forms = 0; // radio buttons of one group share a name that no other group on the page has

/**
 * One labelled radio button.
 * @param {string} text
 * @param {string} group
 * @param {(answer: string) => void} choose
 */
function choice(text, group, choose) {
  const input = tag("input", { type: "radio", name: group, value: text });
  input.addEventListener("change", () => choose(text));
  return tag("label", { class: "choice" }, input, text);
}

/**
 * A field for a number and its unit.
 * @param {string} question
 * @param {string} unit
 * @param {(answer: string) => void} choose
 */
function field(question, unit, choose) {
  const input = tag("input", {
    type: "number", step: "any", "aria-label": unit ? `${question} (${unit})` : question,
  });
  input.addEventListener("change", () => choose(input.value));
  return tag("label", {}, input, unit ? ` ${unit}` : "");
}

/**
 * anywidget: a form that keeps its model's answer up to date.
 * @param {{model: Model, el: HTMLElement}} context
 */
export function render({ model, el }) {
  const choose = (/** @type {string} */ answer) => {
    model.set("answer", answer);
    model.save_changes();
  };
  const status = tag("output"); // announced when it changes
  const group = `bpttviz-prediction-${++forms}-${Math.random().toString(36).slice(2)}`;
  /** @type {string[]} */
  const choices = model.get("choices");
  const controls = choices.length
    ? choices.map((text) => choice(text, group, choose))
    : [field(model.get("question"), model.get("unit"), choose)];
  const skip = tag("button", {
    type: "button", class: "skip", "aria-label": `skip: ${model.get("question")}`,
  }, "skip");
  skip.addEventListener("click", () => {
    model.set("skipped", true);
    model.save_changes();
  });
  const form = tag("fieldset", { class: "bpttviz-prediction" },
    tag("legend", {}, model.get("question")), ...controls, skip, status);
  el.append(form);

  const update = () => {
    const answer = model.get("answer");
    for (const input of form.querySelectorAll("input")) {
      if (input.type === "radio") input.checked = input.value === answer;
      else if (document.activeElement !== input) input.value = answer;
    }
    skip.hidden = Boolean(answer) || model.get("skipped");
    status.textContent = model.get("status");
  };
  update();
  return listen(model, [["change:answer", update], ["change:skipped", update], ["change:status", update]]);
}

export default { render };

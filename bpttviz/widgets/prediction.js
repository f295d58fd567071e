/**
 * The form of a prediction: radio buttons for choices, a field for a number.
 *
 * Model: question, choices (none: a number), unit, answer ("" for none yet), status.
 * Only `answer` is written here.
 */

const STYLE = `
  .bpttviz-prediction { border: 0; margin: 2px 0 6px; padding: 0 0 0 14px; min-width: 0;
    color: var(--jp-ui-font-color1, inherit); font: 13px var(--jp-ui-font-family, system-ui);
    display: flex; flex-wrap: wrap; align-items: center; gap: 6px 8px; }
  .bpttviz-prediction legend { position: absolute; width: 1px; height: 1px; overflow: hidden;
    clip-path: inset(50%); white-space: nowrap; }
  .bpttviz-prediction label.choice { display: inline-flex; align-items: center; gap: 6px;
    padding: 4px 12px; border: 1px solid var(--jp-border-color1, #8a8a8a); border-radius: 14px;
    cursor: pointer; }
  .bpttviz-prediction label.choice:hover { border-color: #0072b2; }
  .bpttviz-prediction label.choice:has(:checked) { border-color: #0072b2;
    box-shadow: inset 0 0 0 1px #0072b2; font-weight: 600; }
  .bpttviz-prediction label.choice:focus-within { outline: 2px solid #56b4e9; outline-offset: 1px; }
  .bpttviz-prediction input[type="radio"] { margin: 0; accent-color: #0072b2; }
  .bpttviz-prediction input[type="number"] { width: 9em; padding: 3px 6px; font: inherit;
    color: inherit; background: var(--jp-layout-color1, transparent);
    border: 1px solid var(--jp-border-color1, #8a8a8a); border-radius: 4px; }
  .bpttviz-prediction output { color: var(--jp-ui-font-color2, inherit); font-style: italic; }
`;

let forms = 0; // radio buttons of one group share a name that no other group on the page has

/** One labelled radio button. */
function choice(text, group, choose) {
  const label = document.createElement("label");
  label.className = "choice";
  const input = Object.assign(document.createElement("input"), {
    type: "radio", name: group, value: text,
  });
  input.addEventListener("change", () => choose(text));
  label.append(input, text);
  return label;
}

/** A field for a number and its unit. */
function field(question, unit, choose) {
  const label = document.createElement("label");
  const input = Object.assign(document.createElement("input"), { type: "number", step: "any" });
  input.setAttribute("aria-label", unit ? `${question} (${unit})` : question);
  input.addEventListener("change", () => choose(input.value));
  label.append(input, unit ? ` ${unit}` : "");
  return label;
}

function render({ model, el }) {
  const choose = (answer) => {
    model.set("answer", answer);
    model.save_changes();
  };
  const form = document.createElement("fieldset");
  form.className = "bpttviz-prediction";
  const legend = document.createElement("legend");
  legend.textContent = model.get("question");
  const style = document.createElement("style");
  style.textContent = STYLE;
  const status = document.createElement("output"); // announced when it changes
  const group = `bpttviz-prediction-${++forms}-${Math.random().toString(36).slice(2)}`;
  const choices = model.get("choices");
  const controls = choices.length
    ? choices.map((text) => choice(text, group, choose))
    : [field(model.get("question"), model.get("unit"), choose)];
  form.append(legend, ...controls, status);
  el.append(style, form);

  const update = () => {
    const answer = model.get("answer");
    for (const input of form.querySelectorAll("input")) {
      if (input.type === "radio") input.checked = input.value === answer;
      else if (document.activeElement !== input) input.value = answer;
    }
    status.textContent = model.get("status");
  };
  model.on("change:answer change:status", update);
  update();
  return () => model.off("change:answer change:status", update);
}

export default { render };

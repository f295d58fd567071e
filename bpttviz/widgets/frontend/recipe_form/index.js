/**
 * anywidget: a `RecipeForm` in step with its model, which holds title, fields, values, problems,
 * disabled, state and name. Nothing is written here: what the reader wants is sent as
 * {name, text}, and the kernel answers with another value or with a problem.
 */
import { listen } from "../shared/model.js";
import { RecipeForm } from "./form.js";

/** @param {{model: import("../shared/model.js").Model, el: HTMLElement}} context */
export function render({ model, el }) {
  const contents = { title: model.get("title"), fields: model.get("fields") };
  const form = new RecipeForm(el, contents, (name, text) => model.send?.({ name, text }));
  form.el.dataset.model = model.get("name");
  const show = () => form.show(model.get("values"), model.get("problems"), model.get("disabled"), model.get("state"));
  show();
  return listen(model, [
    ["change:values", show], ["change:problems", show], ["change:disabled", show], ["change:state", show],
  ]);
}

export default { render };

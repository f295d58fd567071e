/** FoggyValley: `render` is for anywidget, `mount` for a page without a kernel. */
import { OfflineModel, listen } from "../shared/model.js";
import { LocalTrainer } from "./local_trainer.js";
import { FoggyValley, TRAITS } from "./valley.js";

/**
 * anywidget: keeps a `FoggyValley` and its model in step.
 * @param {{model: import("../shared/model.js").Model, el: HTMLElement}} context
 */
export function render({ model, el }) {
  const valley = new FoggyValley(el, model);
  valley.el.dataset.model = model.get("name");
  const survey = () => valley.survey(), show = () => valley.showTraining();
  const stopListening = listen(model, [
    ...TRAITS.map((name) => /** @type {[string, () => void]} */ ([`change:${name}`, () => valley.onModel(name)])),
    ["change:live", survey], ["change:frames", survey], ["change:training", show], ["change:said", show],
  ]);
  return () => {
    stopListening();
    valley.destroy();
  };
}

/**
 * Put a valley into a page that has no kernel; it trains there too.
 * @param {HTMLElement} el
 * @param {Object<string, any>} state  what the model would hold
 */
export function mount(el, state) {
  const model = new OfflineModel(state);
  new LocalTrainer(model);
  render({ model, el });
}

export default { render };

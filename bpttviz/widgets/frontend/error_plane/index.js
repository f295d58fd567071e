/** The error plane: `render` is for anywidget, `mount` for a page without a kernel. */
import { OfflineModel } from "../shared/model.js";
import { showPlane } from "./plane.js";

/**
 * anywidget: the plane in step with its model.
 * @param {{model: import("../shared/model.js").Model, el: HTMLElement}} context
 */
export function render({ model, el }) {
  return showPlane(el, model);
}

/**
 * Put an error plane into a page that has no kernel.
 * @param {HTMLElement} el
 * @param {{data: import("./scales.js").Data, shown: string[], selected: string, stage: number}} values
 */
export function mount(el, values) {
  showPlane(el, new OfflineModel({ name: "", ...values }));
}

export default { render };

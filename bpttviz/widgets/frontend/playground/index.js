/**
 * A playground in a page without a kernel: what was measured, as errors and as atoms. Nothing is
 * trained here, and a sentence says so.
 */
import { showPlane } from "../error_plane/plane.js";
import { Player } from "../player/player.js";
import { setText, tag } from "../shared/dom.js";
import { OfflineModel, listen } from "../shared/model.js";

/**
 * @typedef {import("../player/comparison.js").Payload} Payload
 * @typedef {Object} Contents
 * @property {Object<string, any>} plane  values of the error plane's model
 * @property {Object<string, Payload>} atoms  structure → its two paths, of those that are here
 * @property {string} first   the structure whose atoms are shown before any is selected
 * @property {string} missing what is said of one that is not here
 * @property {string} words   what this is
 * @property {import("../player/index.js").Shown} shown  of the atoms at first
 */

/**
 * @param {HTMLElement} el
 * @param {Contents} contents
 */
export function mount(el, { plane, atoms, first, missing, words, shown: { step, ...options } }) {
  const planeEl = tag("div"), playerEl = tag("div"), without = tag("p", { class: "no-atoms" });
  const model = new OfflineModel({ name: "", ...plane });
  const player = Object.keys(atoms).length ? new Player(playerEl) : null;
  let shown = "";
  const show = () => {
    const name = model.get("selected") || first, payload = atoms[name];
    playerEl.hidden = !payload;
    without.hidden = Boolean(payload);
    setText(without, missing);
    if (payload && name !== shown) player?.load(payload, shown ? payload.steps : step);
    shown = payload ? name : shown;
  };
  el.replaceChildren(tag("div", { class: player ? "bpttviz-playground" : "bpttviz-playground without-paths" },
    tag("div", { class: "above" }, planeEl, tag("div", {}, playerEl, without)),
    tag("p", { class: "stored" }, words)));
  showPlane(planeEl, model);
  listen(model, [["change:selected", show]]);
  show();
  player?.set(options);
}

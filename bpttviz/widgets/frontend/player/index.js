/** The player of two relaxations: `render` is for anywidget, `mount` for a page without a kernel. */
import { listen } from "../shared/model.js";
import { throttle } from "../shared/throttle.js";
import { CanvasStage } from "./canvas_stage.js";
import { NglStage } from "./ngl_stage.js";
import { Player } from "./player.js";

/**
 * Put a player into a page that has no kernel.
 * @param {HTMLElement} el
 * @param {import("./comparison.js").Payload} payload
 */
export function mount(el, payload) {
  const player = new Player(el);
  player.load(payload);
  return player;
}

/**
 * anywidget: keeps a `Player` and its model in step.
 * @param {{model: import("../shared/model.js").Model, el: HTMLElement}} context
 */
export function render({ model, el }) {
  const tellStep = throttle((/** @type {number | undefined} */ step) => {
    model.set("step", step);
    model.save_changes();
  });
  const player = new Player(el, {
    step: tellStep,
    option: (name, value) => {
      model.set(name, value);
      model.save_changes();
    },
  });
  player.el.dataset.model = model.get("name");
  const load = () => player.load(model.get("payload"), model.get("step"));
  const go = () => {
    tellStep.cancel(); // what was on its way is older than what is asked for now
    player.go(model.get("step"));
  };
  const set = () => player.set({
    arrows: model.get("arrows"), images: model.get("images"), exaggeration: model.get("exaggeration"),
    atom: model.get("atom"),
  });
  const stopListening = listen(model, [
    ["change:payload", load], ["change:step", go], ["change:arrows", set], ["change:images", set],
    ["change:exaggeration", set], ["change:atom", set],
  ]);

  const views = model.get("views");
  const stage = views.length ? new NglStage(model.widget_manager, views, player.el) : null;
  if (stage) player.use(stage);
  load();
  set();
  stage?.connect().catch((error) => {
    console.warn(`bpttviz: ${error.message}; its own player takes over`);
    player.use(new CanvasStage(player.panes));
    model.set("missing", true);
    model.save_changes();
  });
  return () => {
    stopListening();
    player.destroy();
  };
}

export default { render };

/** The player of two relaxations: `render` is for anywidget, `mount` for a page without a kernel. */
import { listen } from "../shared/model.js";
import { throttle } from "../shared/throttle.js";
import { CanvasStage } from "./canvas_stage.js";
import { NglStage } from "./ngl_stage.js";
import { Player } from "./player.js";

/** @typedef {Partial<import("./player.js").Options> & {step?: number}} Shown */

/**
 * Put a player into a page that has no kernel.
 * @param {HTMLElement} el
 * @param {import("./comparison.js").Payload & {shown?: Shown}} payload  with what is shown at first
 */
export function mount(el, { shown, ...payload }) {
  const player = new Player(el), { step, ...options } = shown ?? {};
  player.load(payload, step);
  player.set(options);
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
  /** @type {{payload: any, step?: number}} */
  let taken = { payload: null };
  // Both may come in one message, in either order. A step that is not new is older than the clock's.
  const take = () => {
    const before = taken;
    taken = { payload: model.get("payload"), step: model.get("step") };
    const asked = taken.step === before.step ? undefined : taken.step;
    if (taken.payload !== before.payload) player.load(taken.payload, asked);
    else if (asked !== undefined) {
      tellStep.cancel(); // what was on its way is older than what is asked for now
      player.go(asked);
    }
  };
  const set = () => player.set({
    arrows: model.get("arrows"), images: model.get("images"), exaggeration: model.get("exaggeration"),
    atom: model.get("atom"),
  });
  const stopListening = listen(model, [
    ["change:payload", take], ["change:step", take], ["change:arrows", set], ["change:images", set],
    ["change:exaggeration", set], ["change:atom", set],
  ]);

  const views = model.get("views");
  const stage = views.length ? new NglStage(model.widget_manager, views, player.el) : null;
  if (stage) player.use(stage);
  take();
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

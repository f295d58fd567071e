/** Training, as far as a page takes part in it: buttons, a slider through what it made, words. */
import { button, tag } from "../shared/dom.js";

const KERNEL_PATIENCE = 3000; // milliseconds until a kernel that does not answer is said not to

/**
 * @typedef {Object} Frame  a landscape as it was after an update of its training
 * @property {number} update
 * @property {number} distance  Å, from the walk's end to the target
 * @property {import("./surface.js").SurfaceData} surface
 * @property {import("./landscapes.js").Description | null} model  null: a page cannot train it
 */

export class TrainingPanel {
  /**
   * @param {import("../shared/model.js").Model} model
   * @param {{set: (changes: {frame: number}) => void, flush: () => void}} tell  `flush`: Python must
   *     know what is shown before it trains
   */
  constructor(model, tell) {
    this.model = model;
    this.tell = tell;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.waiting = undefined;
    this.trainButton = button("Train through the path",
      "Bend the landscape until the walk ends at the star", () => this.ask());
    this.trainButton.className = "play";
    this.overButton = button("Start over", "Start over: back to the landscape as it was", () => this.send("restore"));
    this.slider = tag("input", { type: "range", min: 0, max: 1, step: 1, "aria-label": "training" });
    this.slider.addEventListener("input", () => tell.set({ frame: Number(this.slider.value) }));
    this.out = tag("output");
    this.row = tag("label", {}, tag("span", {}, "training ", this.out), this.slider);
    this.status = tag("p", { class: "status", role: "status" });
    this.el = tag("div", { class: "training" },
      tag("div", { class: "row" }, this.trainButton, this.overButton), this.row, this.status);
  }

  /** Whether somebody here trains this landscape: a kernel any, a page those that it can describe. */
  get canTrain() {
    const model = /** @type {{canTrain?: (title: string) => boolean}} */ (/** @type {unknown} */ (this.model));
    return typeof this.model.send === "function" && (model.canTrain?.(this.model.get("landscape")) ?? true);
  }

  /** @param {"train" | "stop" | "restore"} what */
  send(what) {
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => {
      this.status.textContent = "No answer yet: this button needs a kernel that is running and not busy.";
    }, KERNEL_PATIENCE);
    this.model.send({ do: what }); // a page answers at once
  }

  ask() {
    if (this.model.get("training")) return this.send("stop");
    this.tell.flush();
    return this.send("train");
  }

  /**
   * @param {Frame[]} frames  the states that are kept of the landscape shown
   * @param {number} frame    which one is shown; 0 is the landscape before training
   */
  show(frames, frame) {
    clearTimeout(this.waiting);
    const training = this.model.get("training");
    this.trainButton.textContent = training ? "Stop" : "Train through the path";
    this.trainButton.setAttribute("aria-label", this.trainButton.textContent);
    this.trainButton.disabled = !this.canTrain;
    this.overButton.disabled = !this.canTrain || training || !frames.length;
    this.row.hidden = training || !frames.length;
    this.slider.max = String(frames.length);
    this.slider.value = String(frame);
    const chosen = frames[frame - 1];
    this.out.textContent = chosen ? `after update ${chosen.update}` : "before the first update";
    this.slider.setAttribute("aria-valuetext", this.out.textContent);
    // What is said belongs to the landscape shown, whatever the other one came to.
    this.status.textContent = this.canTrain ? this.model.get("said")[this.model.get("landscape")] ?? ""
      : "Only a notebook with a running kernel can train this landscape.";
  }
}

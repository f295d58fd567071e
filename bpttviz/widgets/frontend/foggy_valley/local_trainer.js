/**
 * Training where there is no kernel: does for an `OfflineModel` what `FoggyValley` does in Python,
 * on the same traits, so that the rest of the page knows no difference.
 *
 * @typedef {import("./training.js").Frame} Frame
 * @typedef {import("./surface.js").SurfaceData} SurfaceData
 * @typedef {import("./landscapes.js").Landscape} Landscape
 * @typedef {import("./valley.js").Setting} Setting
 */
import { unpack } from "../shared/packed.js";
import { makeLandscape } from "./landscapes.js";
import { followed, surveyed } from "./survey.js";
import { WalkTraining, pathOf } from "./walk_training.js";
import { placed } from "./words.js";

const UPDATES = 60;     // at most
const PACE = 90;        // milliseconds from one update to the next: one wants to see it
const NEAR = 0.02;      // Å: training has arrived
const KEPT = 10;        // states that are kept, to be looked at again
const NODES_BEYOND = 2; // that a spline needs around a place

export class LocalTrainer {
  /** @param {import("../shared/model.js").OfflineModel} model */
  constructor(model) {
    this.model = model;
    this.stopping = false;
    /** @type {Setting} */
    this.setting = model.get("setting");
    Object.assign(model, {
      send: (/** @type {{do: string}} */ content) => this.told(content.do),
      canTrain: (/** @type {string} */ title) => this.setting.examples[title].model !== null,
    });
  }

  /** @param {string} what */
  told(what) {
    if (what === "stop") this.stopping = true;
    else if (this.model.get("training")) return;
    else if (what === "restore") {
      this.keep(this.model.get("landscape"), []);
      this.say("As it was.", this.model.get("landscape"));
    } else if (what === "train") void this.train();
  }

  /** Update after update, until the walk arrives, is lost, or somebody stops it. */
  async train() {
    const { model } = this, title = model.get("landscape");
    const example = this.setting.examples[title];
    const route = {
      start: model.get("start"), target: model.get("target"), eta: model.get("step_size"), steps: model.get("steps"),
    };
    /** @type {Frame[]} */
    const states = (model.get("frames")[title] ?? []).slice(0, model.get("frame"));
    const from = states[states.length - 1], before = from?.update ?? 0;
    const description = from?.model ?? example.model;
    const landscape = makeLandscape(description);
    let surface = from?.surface ?? example.surface;
    const rows = unpack(surface.coefficients).byteLength / 4 / surface.columns;
    const training = new WalkTraining(landscape, route, example.rate);
    const distance = () => distanceOf(landscape, route, surface, rows), first = distance();
    if (Number.isNaN(first)) {
      return this.say("Lost: a walk without an end has no gradient. Shorten the step first.", title);
    }
    this.stopping = false;
    model.set("training", true);
    let last = first;
    while (!this.stopping && last > NEAR && training.updates < UPDATES) {
      const began = performance.now();
      if (!training.update()) break;
      surface = { ...surveyed(landscape, surface, rows), minima: followed(landscape, surface.minima) };
      last = distance();
      const update = before + training.updates, parameters = Array.from(landscape.parameters);
      states.push({ update, distance: last, surface, model: { ...description, parameters } });
      model.set("live", { landscape: title, surface });
      this.say(`Update ${update}: ${last.toFixed(3)} Å from the star.`, title);
      await new Promise((resolve) => setTimeout(resolve, Math.max(PACE - (performance.now() - began), 0)));
    }
    if (training.updates) this.keep(title, chosenOf(states));
    this.say(summary(training.updates, route, first, last), title);
    model.set("live", {});
    model.set("training", false);
    return undefined;
  }

  /**
   * @param {string} title
   * @param {Frame[]} frames
   */
  keep(title, frames) {
    this.model.set("frames", { ...this.model.get("frames"), [title]: frames });
    if (this.model.get("landscape") === title) this.model.set("frame", frames.length);
  }

  /**
   * @param {string} words
   * @param {string} title  of the landscape that they are about
   */
  say(words, title) {
    this.model.set("said", { ...this.model.get("said"), [title]: words });
  }
}

/**
 * Å from the walk's end to the target; NaN where it leaves the map.
 * @param {Landscape} landscape
 * @param {import("./walk_training.js").Route} route
 * @param {SurfaceData} surface
 * @param {number} rows  of its coefficients
 */
function distanceOf(landscape, route, { origin, pitch, columns }, rows) {
  const inside = (/** @type {number} */ value, /** @type {number} */ low, /** @type {number} */ count) =>
    value >= low + NODES_BEYOND * pitch && value < low + (count - NODES_BEYOND - 1) * pitch;
  const path = pathOf(landscape, route), [x, y] = path[path.length - 1];
  const kept = path.every(([px, py]) => inside(px, origin[0], columns) && inside(py, origin[1], rows));
  return kept ? Math.hypot(x - route.target[0], y - route.target[1]) : NaN;
}

/**
 * A few states of a training, evenly spaced, the last among them.
 * @param {Frame[]} states
 */
function chosenOf(states) {
  const count = Math.min(KEPT, states.length), last = states.length - 1;
  return Array.from({ length: count }, (_, k) => states[count > 1 ? Math.round((k * last) / (count - 1)) : last]);
}

/**
 * What a training came to, in Python's words.
 * @param {number} updates
 * @param {import("./walk_training.js").Route} route
 * @param {number} before  Å
 * @param {number} after   Å
 */
function summary(updates, { steps, start }, before, after) {
  const said = `${updates} updates through ${steps} steps from ${placed(start)}: ` +
    `${before.toFixed(3)} → ${after.toFixed(3)} Å from the star.`;
  if (Number.isNaN(after)) return `${said} The last one sent the walk off the map: a smaller learning rate may help.`;
  return `${said} ${after <= NEAR ? "It arrives." : "It is not there yet."}`;
}

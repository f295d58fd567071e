/** What a valley's page consists of, before anything is shown. */
import { button, svg, tag, toggleButton } from "../shared/dom.js";
import { levelsUpTo } from "./ground.js";

/** The place to reach, as it lies on the map and in the legend. */
function star() {
  const points = Array.from({ length: 10 }, (_, k) => {
    const [radius, angle] = [k % 2 ? 4.6 : 11, (Math.PI * k) / 5];
    return `${(radius * Math.sin(angle)).toFixed(2)},${(-radius * Math.cos(angle)).toFixed(2)}`;
  });
  return svg("svg", { viewBox: "-13 -13 26 26", width: 26, height: 26, "aria-hidden": "true" },
    svg("polygon", { points: points.join(" ") }));
}

/** The map: three canvases, one above the other, and what can be dragged on them. */
export function makeMap() {
  const handle = (/** @type {string} */ name, /** @type {string} */ words) =>
    tag("button", { type: "button", class: `handle ${name}`, title: words });
  const ground = tag("canvas", { "aria-hidden": "true" });
  const fog = tag("canvas", { "aria-hidden": "true" });
  const walk = tag("canvas", { role: "img" });
  const target = handle("target", "Where the walk should end: drag it, or move it with the arrow keys");
  const start = handle("start", "Where the walk starts: drag it, or move it with the arrow keys");
  target.append(star());
  return { el: tag("div", { class: "map" }, ground, fog, walk, target, start),
           canvases: { ground, fog, walk }, handles: { target, start } };
}

/**
 * What the marks and the shades on the map mean.
 * @param {number} highest  eV above the lowest place: the last shade
 */
export function makeLegend(highest) {
  const item = (/** @type {string} */ mark, /** @type {string} */ words) =>
    tag("li", {}, tag("span", { class: `mark ${mark}`, "aria-hidden": "true" }), words);
  const goal = item("goal", "where the walk should end");
  goal.firstElementChild.append(star());
  const heights = tag("li", { class: "heights" }, "height ", tag("span", { class: "shades", "aria-hidden": "true" },
    ...levelsUpTo(highest).map((level) => tag("i", { style: `left:${100 * Math.sqrt(level / highest)}%` }))),
  ` 0 to ${highest} eV above the lowest place; lines lie closer where it is low; the heavy line divides basins`);
  return tag("ul", { class: "legend" },
    item("begin", "start"), goal, item("stop", "where it ends"),
    item("wide", "the gradient: as wide as it is large; arrows: where to push for a nearer end"),
    heights,
    tag("li", {}, "Drag the circle or the star. Arrow keys move them, + and − change η, page up and page down K."));
}

const POSITIONS = 400; // of the slider of step sizes

/** Landscape, step size and number of steps. */
export class Settings {
  /**
   * @param {string[]} landscapes
   * @param {[number, number]} sizes  smallest and largest step size
   * @param {number} most             steps
   * @param {{visit: (name: string) => void, set: (changes: Object<string, number>) => void}} tell
   */
  constructor(landscapes, [lowest, highest], most, tell) {
    this.sizes = [lowest, highest];
    this.choice = tag("select", { "aria-label": "landscape" },
      ...landscapes.map((name) => tag("option", { value: name }, name)));
    this.choice.addEventListener("change", () => tell.visit(this.choice.value));
    this.size = tag("input", { type: "range", min: 0, max: POSITIONS, step: 1, "aria-label": "step size η" });
    this.size.addEventListener("input", () => tell.set({
      step_size: Number((lowest * (highest / lowest) ** (Number(this.size.value) / POSITIONS)).toPrecision(3)),
    }));
    this.steps = tag("input", { type: "range", min: 1, max: most, step: 1, "aria-label": "number of steps K" });
    this.steps.addEventListener("input", () => tell.set({ steps: Number(this.steps.value) }));
    this.sizeOut = tag("output");
    this.stepsOut = tag("output");
    this.rows = [
      tag("label", {}, "landscape", this.choice),
      tag("label", {}, tag("span", {}, "step size η ", this.sizeOut), this.size),
      tag("label", {}, tag("span", {}, "steps K ", this.stepsOut), this.steps),
    ];
  }

  /**
   * @param {number} size   Å²/eV
   * @param {string} words  the same
   * @param {number} steps
   */
  show(size, words, steps) {
    const [lowest, highest] = this.sizes;
    this.size.value = String(POSITIONS * (Math.log(size / lowest) / Math.log(highest / lowest)));
    this.size.setAttribute("aria-valuetext", words);
    this.steps.value = String(steps);
    if (this.sizeOut.textContent !== words) this.sizeOut.textContent = words;
    if (this.stepsOut.textContent !== String(steps)) this.stepsOut.textContent = String(steps);
  }
}

/** @typedef {{basins: boolean, gradient: boolean, fog: boolean}} Layers */

/**
 * A button to walk, and one for each layer of the map.
 * @param {Layers} shown  which are, at first
 * @param {() => void} play
 * @param {(name: keyof Layers, down: boolean) => void} onChange
 */
export function makeToolbar(shown, play, onChange) {
  const toggle = (/** @type {keyof Layers} */ name, /** @type {string} */ words) =>
    toggleButton(name, words, shown[name], (down) => onChange(name, down));
  const playButton = button("▶ walk", "Walk step by step, then let the gradient come back", play);
  playButton.className = "play";
  return tag("div", { class: "row", role: "toolbar", "aria-label": "what is shown" }, playButton,
    toggle("basins", "A colour for each resting place and all that drains to it"),
    toggle("gradient", "The gradient on its way back"),
    toggle("fog", "Fog: only what the walker can feel"));
}

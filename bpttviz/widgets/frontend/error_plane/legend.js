/** Below an error plane: what its marks mean. */
import { tag } from "../shared/dom.js";
import { sample } from "./shapes.js";

/**
 * @param {import("./scales.js").Data} data
 * @param {import("./scales.js").ShownLayer[]} layers  those that are shown
 */
export function legendOf(data, layers) {
  const items = layers.length === 1 ? meanings(data, layers[0]) : titles(layers);
  if (layers.some(({ potentials }) => potentials.length > 2)) {
    items.push(tag("li", {}, "dots: potentials on the way"));
  }
  if (data.mean) {
    items.push(tag("li", {}, "◇ → ◆ means" + (data.intervals ? "; along the edges, their 95 % intervals" : "")));
  }
  return tag("ul", { class: "legend" }, ...items);
}

/**
 * One layer is coloured by what its arrows say.
 * @param {import("./scales.js").Data} data
 * @param {import("./scales.js").ShownLayer} layer
 */
function meanings({ looks }, { counts }) {
  return Object.entries(looks).filter(([meaning]) => counts[meaning]).map(([meaning, { colour, dashed }]) =>
    tag("li", {}, sample(colour, dashed), ` ${meaning}: ${counts[meaning]}`));
}

/**
 * Several layers are told apart by their colours.
 * @param {import("./scales.js").ShownLayer[]} layers
 */
function titles(layers) {
  return [
    ...layers.map(({ title, colour, better }) => tag("li", {}, sample(colour, false), ` ${title}: ${better}`)),
    tag("li", {}, "dashed: endpoint worse"),
  ];
}

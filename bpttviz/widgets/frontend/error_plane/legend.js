/** Below an error plane: what its marks mean. */
import { tag } from "../shared/dom.js";
import { sample } from "./shapes.js";

/**
 * @param {import("./scales.js").Data} data
 * @param {import("./scales.js").Layer[]} layers  those that are shown
 */
export function legendOf(data, layers) {
  const items = layers.length === 1 ? meanings(data, layers[0]) : titles(layers);
  if (layers.some(({ potentials }) => potentials.length > 2)) {
    items.push(tag("li", {}, "dots: states on the way, after fewer updates"));
  }
  if (data.mean) {
    const known = layers.some(({ interval }) => interval);
    items.push(tag("li", {}, "◇ → ◆ means" + (known ? "; in the margins, their 95 % intervals" : "")));
  }
  return tag("ul", { class: "legend" }, ...items);
}

/**
 * One layer is coloured by what its arrows say.
 * @param {import("./scales.js").Data} data
 * @param {import("./scales.js").Layer} layer
 */
function meanings({ looks }, { counts }) {
  return Object.entries(looks).filter(([meaning]) => counts[meaning]).map(([meaning, { colour, dashed }]) =>
    tag("li", {}, sample(colour, dashed), ` ${meaning}: ${counts[meaning]}`));
}

/**
 * Several layers are told apart by their colours.
 * @param {import("./scales.js").Layer[]} layers
 */
function titles(layers) {
  return [
    ...layers.map(({ title, colour, better }) => tag("li", {}, sample(colour, false), ` ${title}: ${better}`)),
    tag("li", {}, "dashed: endpoint worse"),
  ];
}

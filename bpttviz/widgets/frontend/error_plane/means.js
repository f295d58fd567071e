/** Means of an error plane: in it, and in its margins. */
import { svg } from "../shared/dom.js";
import { ROW, frameOf } from "./scales.js";
import { arrowShape, diamond } from "./shapes.js";

/**
 * The means before and after, and the way from one to the other.
 * @param {import("./scales.js").Data} data
 * @param {import("./scales.js").Layer[]} layers  those that are shown
 * @param {import("./scales.js").Scale} scale
 */
export function means(data, layers, { at }) {
  const group = svg("g", { class: "mean", "aria-hidden": "true" });
  for (const { mean, colour, title } of layers) {
    const style = layers.length > 1 ? `--colour: ${colour}` : "";
    const places = mean.map(at);
    const [x, y] = places[places.length - 1];
    const way = svg("g", { style }, ...arrowShape(places, 13), diamond([x, y], 10, { class: "after" }));
    if (layers.length > 1) way.append(svg("text", { class: "layer", x: x + 9, y: y - 7 }, title));
    group.append(way);
  }
  group.append(diamond(at(data.mean), 10, { class: "before" }));
  return group;
}

/**
 * The means of each error alone, with their intervals: above the plane, and to its right.
 * @param {import("./scales.js").Data} data
 * @param {import("./scales.js").Layer[]} layers  those that are shown
 * @param {import("./scales.js").Scale} scale
 */
export function margins(data, layers, { x, y }) {
  const { right, top } = frameOf(data);
  const group = svg("g", { class: "mean margins", "aria-hidden": "true" });
  const [first] = layers;
  const rows = [
    { look: "before", style: "", mean: data.mean, interval: first.interval?.[0] },
    ...layers.map(({ mean, interval, colour }) => ({
      look: "after", style: layers.length > 1 ? `--colour: ${colour}` : "",
      mean: mean[mean.length - 1], interval: interval?.[interval.length - 1],
    })),
  ];
  rows.forEach(({ look, style, mean: [force, endpoint], interval }, row) => {
    const [above, beside] = [top - 8 - ROW * row, right + 8 + ROW * row];
    const mark = svg("g", { style });
    if (interval) {
      const [[x0, x1], [y0, y1]] = interval;
      mark.append(
        svg("line", { class: "interval", x1: x(x0), x2: x(x1), y1: above, y2: above }),
        svg("line", { class: "interval", x1: beside, x2: beside, y1: y(y0), y2: y(y1) }),
      );
    }
    mark.append(diamond([x(force), above], 6.5, { class: look }),
                diamond([beside, y(endpoint)], 6.5, { class: look }));
    group.append(mark);
  });
  return group;
}

/** Means of an error plane: in it, and along its edges. */
import { svg } from "../shared/dom.js";
import { ROW, frameOf } from "./scales.js";
import { arrowShape, diamond } from "./shapes.js";

/**
 * The means before and after, and the way from one to the other.
 * @param {import("./scales.js").Data} data
 * @param {import("./scales.js").ShownLayer[]} layers  those that are shown
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
 * The means of each error alone, with their intervals: along the upper and the right edge.
 * @param {import("./scales.js").Data} data
 * @param {import("./scales.js").ShownLayer[]} layers  those that are shown
 * @param {import("./scales.js").Scale} scale
 */
export function margins(data, layers, { x, y }) {
  const { left, right, top, bottom, innerRight, innerTop } = frameOf(data);
  const group = svg("g", { class: "mean margins", "aria-hidden": "true" },
    svg("path", { class: "strip", d: `M${left} ${top}H${right}V${bottom}H${innerRight}V${innerTop}H${left}Z` }),
    svg("text", { class: "faint", x: left + 6, y: top + 13 }, "95 % intervals of the means"));
  const [first] = layers;
  const rows = [
    { look: "before", style: "", mean: data.mean, interval: first.interval?.[0] },
    ...layers.map(({ mean, interval, colour }) => ({
      look: "after", style: layers.length > 1 ? `--colour: ${colour}` : "",
      mean: mean[mean.length - 1], interval: interval?.[interval.length - 1],
    })),
  ];
  rows.forEach(({ look, style, mean: [force, endpoint], interval }, row) => {
    const [above, beside] = [top + 9 + ROW * row, right - 9 - ROW * row];
    const mark = svg("g", { style });
    if (interval) {
      const [[x0, x1], [y0, y1]] = interval;
      mark.append(...cutInterval([x(x0), x(x1)], [left + 2, innerRight], (at) => [at, above]),
                  ...cutInterval([y(y0), y(y1)], [bottom - 2, innerTop], (at) => [beside, at]));
    }
    mark.append(diamond([x(force), above], 6.5, { class: look }),
                diamond([beside, y(endpoint)], 6.5, { class: look }));
    group.append(mark);
  });
  return group;
}

/**
 * An interval as a line; with a head where it goes on beyond the axis.
 * @param {number[]} ends   pixels, low and high
 * @param {number[]} edges  of the axis, pixels, low and high
 * @param {(at: number) => import("./scales.js").Point} place
 */
function cutInterval(ends, edges, place) {
  const [low, high] = [Math.min(...edges), Math.max(...edges)];
  const seen = ends.map((end) => Math.min(Math.max(end, low), high));
  const [[x1, y1], [x2, y2]] = seen.map(place);
  const middle = place((seen[0] + seen[1]) / 2);
  return [
    svg("line", { class: "interval", x1, x2, y1, y2 }),
    // Of an arrow the head alone.
    ...seen.flatMap((end, index) => (end === ends[index] ? [] : arrowShape([middle, place(end)], 9).slice(1))),
  ];
}

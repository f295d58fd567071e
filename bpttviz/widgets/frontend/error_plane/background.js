/** What lies behind the arrows of an error plane. */
import { svg } from "../shared/dom.js";
import { PLANE_HEIGHT, frameOf } from "./scales.js";

/**
 * Axes, quarters and the noise floor: all that lies behind the arrows.
 * @param {import("./scales.js").Data} data
 * @param {import("./scales.js").Scale} scale
 */
export function background(data, { x, y, at }) {
  const { left, right, top, bottom } = frameOf(data);
  const group = svg("g", { "aria-hidden": "true" });
  if (data.mean) {
    const [mx, my] = at(data.mean);
    group.append(
      svg("rect", { class: "paradox", x: mx, y: my, width: right - mx, height: bottom - my }),
      svg("line", { class: "divide", x1: mx, x2: mx, y1: top, y2: bottom }),
      svg("line", { class: "divide", x1: left, x2: right, y1: my, y2: my }),
    );
  }
  if (data.noise_floor) {
    const level = y(data.noise_floor);
    group.append(
      svg("rect", { class: "noise", x: left, y: level, width: right - left, height: bottom - level }),
      svg("text", { class: "faint", x: left + 6, y: level + 13 }, "within the references' own error"),
    );
  }
  data.ticks[0].forEach((value) => group.append(
    svg("line", { class: "axis", x1: x(value), x2: x(value), y1: bottom, y2: bottom + 5 }),
    svg("text", { class: "tick", x: x(value), y: bottom + 18, "text-anchor": "middle" },
        String(value)),
  ));
  data.ticks[1].forEach((value) => group.append(
    svg("line", { class: "axis", x1: left - 5, x2: left, y1: y(value), y2: y(value) }),
    svg("text", { class: "tick", x: left - 9, y: y(value) + 4, "text-anchor": "end" },
        String(value)),
  ));
  const middle = (top + bottom) / 2;
  group.append(
    svg("path", { class: "axis", d: `M${left} ${top}V${bottom}H${right}` }),
    svg("text", { class: "label", x: (left + right) / 2, y: PLANE_HEIGHT - 10, "text-anchor": "middle" },
        "force error (MAE) / eV/Å"),
    svg("text", { class: "label", x: 14, y: middle, "text-anchor": "middle",
                  transform: `rotate(-90 14 ${middle})` },
        "endpoint error at rest, ΔQ / amu", svg("tspan", { dy: -4, "font-size": 9 }, "½"),
        svg("tspan", { dy: 4 }, " Å")),
  );
  return group;
}

const LABEL = { width: 268, height: 38 }; // pixels that the quarter's name takes

/**
 * The name of the quarter "endpoint better, forces worse", in the corner of it that is freest.
 * @param {import("./scales.js").Data} data
 * @param {import("./scales.js").Layer[]} layers  those that are shown
 * @param {import("./scales.js").Scale} scale
 */
export function paradoxLabel(data, layers, { x, y, at }) {
  const { right, bottom } = frameOf(data);
  const highest = Math.min(y(data.mean[1]), bottom - LABEL.height);
  const farLeft = Math.min(x(data.mean[0]), right - LABEL.width);
  const ways = layers.flatMap(({ arrows, mean }) => [...arrows.map(({ points }) => points), mean ?? []]);
  const drawn = ways.flatMap((points) => between(points.map(at)));
  const crowd = (/** @type {number[]} */ [left, top]) => drawn.filter(([px, py]) =>
    px > left && px < left + LABEL.width && py > top && py < top + LABEL.height).length;
  const corners = [right - LABEL.width, farLeft].flatMap((left) =>
    [highest, bottom - LABEL.height].map((top) => [left, top]));
  const [left, top] = corners.reduce((best, corner) => (crowd(corner) < crowd(best) ? corner : best));
  const end = left + LABEL.width - 8;
  const line = (/** @type {number} */ down, /** @type {string} */ text) => svg("text", {
    class: "paradox-label", x: end, y: top + down, "text-anchor": "end" }, text);
  return svg("g", { "aria-hidden": "true" }, line(16, data.paradox),
             line(30, "(where the mean goes, seen from where it was)"));
}

/**
 * Places along lines through some points, dense enough to tell what a text would hide.
 * @param {import("./scales.js").Point[]} points  pixels
 */
function between(points) {
  return points.slice(1).flatMap(([x1, y1], index) => {
    const [x0, y0] = points[index];
    return Array.from({ length: 41 }, (_, k) => [x0 + (k / 40) * (x1 - x0), y0 + (k / 40) * (y1 - y0)]);
  });
}

/** Shapes of an error plane. */
import { svg } from "../shared/dom.js";

/**
 * A line with a head, through some points of the picture.
 * @param {import("./scales.js").Point[]} points   pixels
 * @param {number} size      of the head, pixels
 * @param {string} [look]    class names of the line
 */
export function arrowShape(points, size, look = "") {
  const [[x0, y0], [x1, y1]] = points.slice(-2);
  const length = Math.hypot(x1 - x0, y1 - y0) || 1;
  const [ux, uy] = [(x1 - x0) / length, (y1 - y0) / length];
  const head = Math.min(size, Math.max(length, 5));
  const [bx, by] = [x1 - head * ux, y1 - head * uy];
  const half = 0.42 * head;
  const line = [...points.slice(0, -1), [bx, by]].map((point) => point.join(" ")).join("L");
  return [
    svg("path", { class: `shaft ${look}`, d: `M${line}` }),
    svg("polygon", { class: "head", points:
      `${x1},${y1} ${bx - half * uy},${by + half * ux} ${bx + half * uy},${by - half * ux}` }),
  ];
}

/**
 * @param {import("./scales.js").Point} place  pixels
 * @param {number} size  of an edge, pixels
 * @param {import("../shared/dom.js").Attributes} attributes
 */
export function diamond([x, y], size, attributes) {
  return svg("rect", { x: -size / 2, y: -size / 2, width: size, height: size,
                       transform: `translate(${x} ${y}) rotate(45)`, ...attributes });
}

/**
 * A short line as in the picture, for a legend.
 * @param {string} colour
 * @param {boolean} dashed
 */
export function sample(colour, dashed) {
  return svg("svg",
    { class: "sample", width: 26, height: 10, style: `--colour: ${colour}`, "aria-hidden": "true" },
    svg("line", { x1: 1, x2: 25, y1: 5, y2: 5, class: dashed ? "dashed" : "" }));
}

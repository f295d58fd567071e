/** Which arrow is meant: the nearest one, so that near ones can be told apart. */

const POINTING_REACH = 16; // pixels of the picture from which an arrow is meant
const ALSO = 6;            // from which others are meant too: a second click takes the next one

/**
 * @typedef {import("./scales.js").Point} Point
 * @typedef {{name: string, ways: Point[][]}} Target  a structure, and the lines of its arrows, pixels
 */

/**
 * Names of the structures meant by a place, the nearest first.
 * @param {Point} place  pixels of the picture
 * @param {Target[]} targets
 * @returns {string[]}
 */
export function meant(place, targets) {
  const near = targets.map(({ name, ways }) => ({ name, far: Math.min(...ways.map((way) => distanceTo(place, way))) }))
    .filter(({ far }) => far < POINTING_REACH).sort((a, b) => a.far - b.far);
  return near.filter(({ far }, rank) => rank === 0 || far < ALSO).map(({ name }) => name);
}

/**
 * From a place to a line through some points.
 * @param {Point} place
 * @param {Point[]} way
 */
function distanceTo([x, y], way) {
  let least = Infinity;
  way.slice(1).forEach(([x1, y1], index) => {
    const [x0, y0] = way[index];
    const [dx, dy] = [x1 - x0, y1 - y0];
    const part = Math.min(Math.max(((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy || 1), 0), 1);
    least = Math.min(least, Math.hypot(x - x0 - part * dx, y - y0 - part * dy));
  });
  return least;
}

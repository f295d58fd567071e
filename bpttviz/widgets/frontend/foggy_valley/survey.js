/** A landscape made into a spline here, as Python makes it (bpttviz/teaching/surface.py). */

const RUN_IN = 24; // nodes around those that are kept, from which coefficients settle

/** Poles of the quintic B-spline's inverse filter. */
const POLES = [
  Math.sqrt(135 / 2 - Math.sqrt(17745 / 4)) + Math.sqrt(105 / 4) - 13 / 2,
  Math.sqrt(135 / 2 + Math.sqrt(17745 / 4)) - Math.sqrt(105 / 4) - 13 / 2,
];

/**
 * The surface of a landscape, over the same nodes as another one.
 * @param {import("./landscapes.js").Landscape} landscape
 * @param {import("./surface.js").SurfaceData} like  of the landscape that it grew out of
 * @param {number} rows  of the coefficients that are kept
 * @returns {import("./surface.js").SurfaceData}
 */
export function surveyed(landscape, like, rows) {
  const { columns, pitch, origin: [x0, y0], window: [left, right, bottom, top] } = like;
  const wide = columns + 2 * RUN_IN, high = rows + 2 * RUN_IN, near = pitch / 100;
  const nodes = new Float64Array(wide * high);
  let lowest = Infinity;
  for (let j = 0, at = 0; j < high; j++) {
    const y = y0 + pitch * (j - RUN_IN), level = y > bottom - near && y < top + near;
    for (let i = 0; i < wide; i++, at++) {
      const x = x0 + pitch * (i - RUN_IN);
      nodes[at] = landscape.energy(x, y);
      if (level && x > left - near && x < right + near) lowest = Math.min(lowest, nodes[at]);
    }
  }
  for (let j = 0; j < high; j++) filterLine(nodes, j * wide, 1, wide);
  for (let i = 0; i < wide; i++) filterLine(nodes, i, wide, high);
  const kept = new Float32Array(columns * rows);
  for (let j = 0; j < rows; j++) {
    const first = (j + RUN_IN) * wide + RUN_IN;
    kept.set(nodes.subarray(first, first + columns), j * columns);
  }
  return { ...like, coefficients: new DataView(kept.buffer), lowest };
}

/**
 * From values to the coefficients of the spline through them, in place; mirrored at both ends.
 * @param {Float64Array} line
 * @param {number} first
 * @param {number} stride
 * @param {number} count
 */
function filterLine(line, first, stride, count) {
  const at = (/** @type {number} */ k) => first + k * stride;
  for (const z of POLES) {
    const gain = (1 - z) * (1 - 1 / z);
    let sum = 0;
    for (let k = 0; k < RUN_IN; k++) sum += z ** k * line[at(k)];
    line[first] = sum * gain;
    for (let k = 1; k < count; k++) line[at(k)] = line[at(k)] * gain + z * line[at(k - 1)];
    line[at(count - 1)] = (z / (z * z - 1)) * (line[at(count - 1)] + z * line[at(count - 2)]);
    for (let k = count - 2; k >= 0; k--) line[at(k)] = z * (line[at(k + 1)] - line[at(k)]);
  }
}

const DOWNHILL = { size: 0.04, longest: 0.05, steps: 500, rest: 0.005 }; // Å²/eV, Å, eV/Å
const MOVED = 0.5, APART_FROM_OTHERS = 0.1; // Å

/**
 * Where resting places have moved to; null for one that has vanished into another or gone far.
 * @param {import("./landscapes.js").Landscape} landscape
 * @param {([number, number] | null)[]} minima  Å
 */
export function followed(landscape, minima) {
  /** @type {([number, number] | null)[]} */
  const found = [];
  for (const place of minima) {
    let [x, y] = place ?? [NaN, NaN];
    for (let k = 0; k < DOWNHILL.steps; k++) {
      const [sx, sy] = landscape.slope(x, y), steep = Math.hypot(sx, sy);
      if (!(steep >= DOWNHILL.rest)) break;
      const size = Math.min(DOWNHILL.size, DOWNHILL.longest / steep);
      x -= size * sx;
      y -= size * sy;
    }
    const stays = place && Math.hypot(x - place[0], y - place[1]) < MOVED &&
      found.every((other) => !other || Math.hypot(x - other[0], y - other[1]) >= APART_FROM_OTHERS);
    found.push(stays ? [x, y] : null);
  }
  return found;
}

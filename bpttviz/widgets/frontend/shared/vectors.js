/** @typedef {number[]} Vector  three numbers */

/** @type {(a: Vector, b: Vector) => Vector} */
export const minus = (a, b) => a.map((value, part) => value - b[part]);
/** @type {(a: Vector, b: Vector, times: number) => Vector} */
export const plus = (a, b, times) => a.map((value, part) => value + times * b[part]);
/** @type {(a: Vector, b: Vector) => Vector} */
export const cross = ([a, b, c], [x, y, z]) => [b * z - c * y, c * x - a * z, a * y - b * x];
/** @type {(vector: Vector) => Vector} */
export const unit = (vector) => {
  const length = Math.hypot(...vector) || 1;
  return vector.map((part) => part / length);
};

/**
 * Two directions across another, at right angles.
 * @param {Vector} along  of length one
 * @returns {[Vector, Vector]}
 */
export function across(along) {
  const first = unit(cross(along, Math.abs(along[0]) < 0.7 ? [1, 0, 0] : [0, 1, 0]));
  return [first, cross(along, first)];
}

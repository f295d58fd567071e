const SHORTEST = 1e-3;  // Å: a shorter arrow has no direction
const SHAFT = 0.09, HEAD = 0.26, HEAD_LENGTH = 0.55; // radii and length of an arrow's parts, Å
const ARROW_CORNERS = 30; // three for each triangle; ngl.py makes room for as many

/**
 * Arrows as triangles: a three-sided shaft and head. NGL's own arrows are spheres of equations,
 * worked out pixel by pixel; without a GPU they cost twice as much as all atoms.
 * @param {Float32Array} from  n × 3, Å
 * @param {Float32Array} to    n × 3, Å
 * @returns {{position: Float32Array, normal: Float32Array}} `ARROW_CORNERS` × 3 numbers an arrow
 */
export function arrowMesh(from, to) {
  const size = ARROW_CORNERS * from.length;
  const position = new Float32Array(size), normal = new Float32Array(size);
  let at = 0;
  const triangle = (/** @type {Vector} */ a, /** @type {Vector} */ b, /** @type {Vector} */ c) => {
    const across = unit(cross(minus(b, a), minus(c, a)));
    for (const corner of [a, b, c]) {
      position.set(corner, at);
      normal.set(across, at);
      at += 3;
    }
  };
  for (let k = 0; k < from.length; k += 3) {
    const tail = [...from.subarray(k, k + 3)], tip = [...to.subarray(k, k + 3)];
    const span = minus(tip, tail), length = Math.hypot(...span);
    const along = length > SHORTEST ? unit(span) : [0, 0, 1];
    const away = unit(cross(along, Math.abs(along[0]) < 0.7 ? [1, 0, 0] : [0, 1, 0]));
    const other = cross(along, away);
    const neck = plus(tip, along, -Math.min(HEAD_LENGTH, 0.6 * length));
    const ring = (/** @type {Vector} */ middle, /** @type {number} */ radius) => [0, 1, 2].map((corner) => {
      const angle = (2 * Math.PI * corner) / 3;
      const thin = Math.min(radius, 0.5 * length);
      return plus(plus(middle, away, thin * Math.cos(angle)), other, thin * Math.sin(angle));
    });
    const [foot, shaft, head] = [ring(tail, SHAFT), ring(neck, SHAFT), ring(neck, HEAD)];
    for (let side = 0; side < 3; side++) {
      const next = (side + 1) % 3;
      triangle(foot[side], foot[next], shaft[side]);
      triangle(shaft[side], foot[next], shaft[next]);
      triangle(head[side], head[next], tip);
    }
    triangle(head[2], head[1], head[0]);
  }
  return { position, normal };
}

/** @typedef {number[]} Vector */

/** @type {(a: Vector, b: Vector) => Vector} */
const minus = (a, b) => a.map((value, part) => value - b[part]);
/** @type {(a: Vector, b: Vector, times: number) => Vector} */
const plus = (a, b, times) => a.map((value, part) => value + times * b[part]);
/** @type {(a: Vector, b: Vector) => Vector} */
const cross = ([a, b, c], [x, y, z]) => [b * z - c * y, c * x - a * z, a * y - b * x];
/** @type {(vector: Vector) => Vector} */
const unit = (vector) => {
  const length = Math.hypot(...vector) || 1;
  return vector.map((part) => part / length);
};

/** What nglview's panes show beside spheres, as triangles that move with the atoms. */
import { across, cross, minus, plus, unit } from "../shared/vectors.js";

/**
 * Three corners a triangle, with what its surface is perpendicular to there.
 * @typedef {{position: Float32Array, normal: Float32Array}} Mesh
 * @typedef {import("../shared/vectors.js").Vector} Vector
 */

const SHORTEST = 1e-3;  // Å: a shorter arrow has no direction
const SHAFT = 0.09, HEAD = 0.26, HEAD_LENGTH = 0.55; // radii and length of an arrow's parts, Å
const ARROW_CORNERS = 30;
const ROD_SIDES = 6, ROD_CORNERS = 6 * ROD_SIDES;
const DASHES = 9;         // of a ring

/**
 * Arrows as triangles: a three-sided shaft and head. NGL's own arrows are spheres of equations,
 * worked out pixel by pixel; without a GPU they cost twice as much as all atoms.
 * @param {Float32Array} from  n × 3, Å
 * @param {Float32Array} to    n × 3, Å
 * @returns {Mesh} `ARROW_CORNERS` × 3 numbers an arrow
 */
export function arrowMesh(from, to) {
  const size = ARROW_CORNERS * from.length;
  const position = new Float32Array(size), normal = new Float32Array(size);
  let at = 0;
  const triangle = (/** @type {Vector} */ a, /** @type {Vector} */ b, /** @type {Vector} */ c) => {
    const outward = unit(cross(minus(b, a), minus(c, a)));
    for (const corner of [a, b, c]) {
      position.set(corner, at);
      normal.set(outward, at);
      at += 3;
    }
  };
  for (let k = 0; k < from.length; k += 3) {
    const tail = [...from.subarray(k, k + 3)], tip = [...to.subarray(k, k + 3)];
    const span = minus(tip, tail), length = Math.hypot(...span);
    const along = length > SHORTEST ? unit(span) : [0, 0, 1];
    const [away, other] = across(along);
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

/**
 * Round rods, open at their ends.
 * @param {ArrayLike<number>} ends  two points a rod, n × 6, Å
 * @param {number} radius           Å
 * @returns {Mesh}
 */
export function rodMesh(ends, radius) {
  const size = (ROD_CORNERS * ends.length) / 2;
  const position = new Float32Array(size), normal = new Float32Array(size);
  let at = 0;
  for (let k = 0; k < ends.length; k += 6) {
    const one = [ends[k], ends[k + 1], ends[k + 2]], two = [ends[k + 3], ends[k + 4], ends[k + 5]];
    const [away, other] = across(unit(minus(two, one)));
    const outward = Array.from({ length: ROD_SIDES + 1 }, (_, side) => {
      const angle = (2 * Math.PI * side) / ROD_SIDES;
      return [0, 1, 2].map((part) => Math.cos(angle) * away[part] + Math.sin(angle) * other[part]);
    });
    const corner = (/** @type {Vector} */ middle, /** @type {number} */ side) => {
      position.set(plus(middle, outward[side], radius), at);
      normal.set(outward[side], at);
      at += 3;
    };
    for (let side = 0; side < ROD_SIDES; side++) {
      corner(one, side);
      corner(one, side + 1);
      corner(two, side);
      corner(two, side);
      corner(one, side + 1);
      corner(two, side + 1);
    }
  }
  return { position, normal };
}

/**
 * Where nothing is: around each place three dashed rings, which look the same from every side.
 * @param {Float32Array} places  n × 3, Å
 * @param {number} radius        Å
 * @returns {number[]} ends of rods, for `rodMesh`
 */
export function dashedRings(places, radius) {
  /** @type {number[]} */
  const ends = [];
  for (let k = 0; k < places.length; k += 3) {
    for (const axis of [0, 1, 2]) {
      const point = (/** @type {number} */ dash) => {
        const angle = (2 * Math.PI * dash) / DASHES, there = [...places.subarray(k, k + 3)];
        there[(axis + 1) % 3] += radius * Math.cos(angle);
        there[(axis + 2) % 3] += radius * Math.sin(angle);
        return there;
      };
      for (let dash = 0; dash < DASHES; dash++) ends.push(...point(dash), ...point(dash + 0.55));
    }
  }
  return ends;
}

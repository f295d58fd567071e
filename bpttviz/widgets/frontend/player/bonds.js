/** Bonds, for the eye only: which bodies touch, and where the rods between them begin and end. */

const BOND_REACH = 1.25; // atoms nearer than this times the sum of their radii are joined
const OVERLAP = 0.9;     // of a sphere's radius: a rod begins a little below its surface

/**
 * Bonds where they are drawn: two points each, from surface to surface.
 * @typedef {Object} Bonds
 * @property {Float32Array} ends  n × 6, Å
 * @property {boolean[]} pale     whether it belongs to periodic images
 */

/**
 * Pairs of bodies that touch, by index; the first of a pair is one of the first `most`.
 * @param {Float32Array} positions  n × 3
 * @param {Float32Array} radii
 * @param {number} [most]
 */
export function bondsBetween(positions, radii, most = radii.length) {
  const pairs = [];
  const count = radii.length;
  for (let i = 0; i < most; i++) {
    const [x, y, z] = [positions[3 * i], positions[3 * i + 1], positions[3 * i + 2]];
    for (let j = i + 1; j < count; j++) {
      const reach = radii[i] + radii[j];
      const dx = positions[3 * j] - x;
      if (dx > reach || dx < -reach) continue;
      const dy = positions[3 * j + 1] - y, dz = positions[3 * j + 2] - z;
      if (dx * dx + dy * dy + dz * dz < reach * reach) pairs.push(i, j);
    }
  }
  return pairs;
}

/**
 * Bonds of atoms to each other and to the periodic images around them. Where those are not shown, a
 * bond that leaves the cell ends halfway.
 * @param {import("./comparison.js").Comparison} comparison
 * @param {Float32Array} known   where the atoms are, × 3, Å: that decides who is bonded
 * @param {Float32Array} drawn   where they are drawn
 * @param {boolean} images       whether periodic images are shown
 * @returns {Bonds}
 */
export function bondsOf(comparison, known, drawn, images) {
  const { atoms } = comparison;
  const radii = comparison.withImages(comparison.sizes);
  const reach = radii.map((radius) => (BOND_REACH / comparison.drawn) * radius);
  const places = comparison.withImages(drawn, 3);
  const all = known === drawn ? places : comparison.withImages(known, 3);
  const pairs = bondsBetween(all, reach, images ? reach.length : atoms);
  /** @type {number[]} */
  const ends = [];
  /** @type {boolean[]} */
  const pale = [];
  for (let k = 0; k < pairs.length; k += 2) {
    const [i, j] = [pairs[k], pairs[k + 1]];
    const outside = j >= atoms;
    const way = [0, 1, 2].map((part) => places[3 * j + part] - places[3 * i + part]);
    const length = Math.hypot(...way);
    const first = (OVERLAP * radii[i]) / length;
    const last = outside && !images ? 0.5 : 1 - (OVERLAP * radii[j]) / length;
    if (first >= last) continue;
    for (const place of [first, last]) {
      for (const part of [0, 1, 2]) ends.push(places[3 * i + part] + place * way[part]);
    }
    pale.push(outside);
  }
  return { ends: Float32Array.from(ends), pale };
}

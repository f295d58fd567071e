/**
 * Two relaxations of one structure, decoded from what payload.py packed.
 *
 * @typedef {import("../shared/packed.js").Packed} Packed
 *
 * @typedef {Object} PayloadPath
 * @property {string} potential
 * @property {string} colour
 * @property {number} last      the last step that has positions
 * @property {string} lost      empty, or where and why the relaxation was given up
 * @property {number} scale     Å a unit of `moved`
 * @property {Packed} moved     int16: frames × atoms × 3, from the reference
 * @property {(number | null)[]} energy   eV since the start, of every step
 * @property {(number | null)[]} fmax     eV/Å
 * @property {(number | null)[]} deltaQ   amu^½ Å to the reference
 * @property {number | null} deltaQAtRest amu^½ Å
 *
 * @typedef {Object} Payload
 * @property {string} structure
 * @property {number} steps     the last step of the longer path
 * @property {number[]} kept    the steps that have frames
 * @property {string[]} notes   what a reader must know
 * @property {number[]} radii   covalent ones, Å, one a species
 * @property {number} drawn     what part of them a sphere has
 * @property {Packed} species   uint8, one an atom
 * @property {[number, string][]} labels  atoms to name
 * @property {Packed} reference float32: atoms × 3, Å
 * @property {number[][]} cell  24 points, Å: two an edge; none where nothing is periodic
 * @property {Packed} imageOf   uint16: the atom of each periodic image
 * @property {Packed} imageShift float32: images × 3, Å
 * @property {number[]} middle  Å, the point to turn about
 * @property {number} reach     Å, radius of a sphere around everything
 * @property {number} margin    Å beyond the cell's faces in which images are shown
 * @property {number[][]} view  rotation to (right, up, towards the eye) to begin with
 * @property {number} perspective  growth for each Å nearer to the eye
 * @property {number} limit     Å, where the colour scale ends
 * @property {string[]} scale   its colours, from 0 up
 * @property {string} ghost     colour of the reference end
 * @property {number} magnified how many times their length arrows are drawn
 * @property {number | null} noiseFloor   amu^½ Å
 * @property {[PayloadPath, PayloadPath]} paths
 */

import { unpack } from "../shared/packed.js";

/** One potential's path: where its atoms are at each step. */
export class RelaxationPath {
  /**
   * @param {PayloadPath} packed
   * @param {Float32Array} reference
   * @param {number[]} kept
   */
  constructor(packed, reference, kept) {
    this.potential = packed.potential;
    this.colour = packed.colour;
    this.last = packed.last;
    this.lost = packed.lost;
    this.scale = packed.scale;
    this.energy = packed.energy;
    this.fmax = packed.fmax;
    this.deltaQ = packed.deltaQ;
    this.deltaQAtRest = packed.deltaQAtRest;
    this.reference = reference;
    this.kept = kept;
    this.moved = new Int16Array(unpack(packed.moved));
  }

  /**
   * The step shown at `step` of the common clock: a path that has ended stays at its last.
   * @param {number} step
   */
  held(step) {
    return Math.min(step, this.last);
  }

  /**
   * Is there nothing to show at `step`, because the relaxation had been given up?
   * @param {number} step
   */
  gone(step) {
    return this.lost !== "" && step > this.last;
  }

  /**
   * Displacement from the reference at `step`: atoms × 3, Å.
   * @param {number} step
   */
  displacement(step) {
    const frame = lastNotAfter(this.kept, this.held(step));
    const size = this.reference.length;
    return Float32Array.from(
      this.moved.subarray(frame * size, (frame + 1) * size), (units) => units * this.scale,
    );
  }

  /**
   * Positions at `step` (atoms × 3, Å) and the distance of each atom to its reference place.
   * @param {number} step
   */
  at(step) {
    const moved = this.displacement(step);
    const distances = new Float32Array(moved.length / 3);
    for (let atom = 0; atom < distances.length; atom++) {
      distances[atom] = Math.hypot(moved[3 * atom], moved[3 * atom + 1], moved[3 * atom + 2]);
    }
    return { positions: moved.map((value, index) => value + this.reference[index]), distances };
  }
}

/** Both paths, and what they share: the payload, with its arrays unpacked. */
export class Comparison {
  /** @param {Payload} payload */
  constructor(payload) {
    this.structure = payload.structure;
    this.steps = payload.steps;
    this.kept = payload.kept;
    this.notes = payload.notes;
    this.radii = payload.radii;
    this.drawn = payload.drawn;
    this.labels = payload.labels;
    this.cell = payload.cell;
    this.middle = payload.middle;
    this.reach = payload.reach;
    this.margin = payload.margin;
    this.view = payload.view;
    this.perspective = payload.perspective;
    this.limit = payload.limit;
    this.scale = payload.scale;
    this.ghost = payload.ghost;
    this.magnified = payload.magnified;
    this.noiseFloor = payload.noiseFloor;
    this.reference = new Float32Array(unpack(payload.reference));
    this.species = new Uint8Array(unpack(payload.species));
    this.imageOf = new Uint16Array(unpack(payload.imageOf));
    this.imageShift = new Float32Array(unpack(payload.imageShift));
    this.paths = payload.paths.map((path) => new RelaxationPath(path, this.reference, payload.kept));
    this.atoms = this.species.length;
  }

  /**
   * Values of every atom (a number of each, or three), followed by those of its images.
   * @param {Float32Array} values
   * @param {number} [each]
   */
  withImages(values, each = 1) {
    const all = new Float32Array(values.length + each * this.imageOf.length);
    all.set(values);
    this.imageOf.forEach((atom, image) => {
      for (let part = 0; part < each; part++) {
        const shift = each === 3 ? this.imageShift[3 * image + part] : 0;
        all[values.length + each * image + part] = values[each * atom + part] + shift;
      }
    });
    return all;
  }

  /**
   * The step nearest to `step` that has a frame, in the direction of `sign` if it is not 0.
   * @param {number} step
   * @param {number} sign
   */
  neighbour(step, sign) {
    const at = lastNotAfter(this.kept, step);
    const next = sign < 0 && this.kept[at] < step ? at : at + sign;
    return this.kept[Math.min(Math.max(next, 0), this.kept.length - 1)];
  }
}

/**
 * Index of the last of the ascending `numbers` that is not greater than `value`; at least 0.
 * @param {number[]} numbers
 * @param {number} value
 */
export function lastNotAfter(numbers, value) {
  let low = 0, high = numbers.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (numbers[middle] <= value) low = middle;
    else high = middle - 1;
  }
  return low;
}

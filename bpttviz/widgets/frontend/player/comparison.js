/**
 * Two relaxations of one structure, decoded from what payload.py packed.
 *
 * @typedef {import("../shared/packed.js").Packed} Packed
 *
 * @typedef {Object} PayloadRest  the way on to rest: some of its frames
 * @property {number[]} steps   of the common clock, ascending; the first is the map's last
 * @property {boolean} arrived  whether the last frame is at rest
 * @property {number} scale     Å a unit of `moved`
 * @property {Packed} moved     int16: frames × atoms × 3, from the reference
 * @property {(number | null)[]} energy   eV since the start, of every frame
 * @property {(number | null)[]} fmax     eV/Å
 * @property {(number | null)[]} deltaQ   amu^½ Å to the reference
 *
 * @typedef {Object} PayloadPath
 * @property {string} potential
 * @property {string} colour
 * @property {number} last      the last step of the map that has positions
 * @property {string} lost      empty, or where and why the relaxation was given up
 * @property {number} scale     Å a unit of `moved`
 * @property {Packed} moved     int16: frames × atoms × 3, from the reference
 * @property {(number | null)[]} energy   eV since the start, of every step
 * @property {(number | null)[]} fmax     eV/Å
 * @property {(number | null)[]} deltaQ   amu^½ Å to the reference
 * @property {number | null} deltaQAtRest amu^½ Å
 * @property {PayloadRest | null} [rest]
 * @property {(number | null)[] | null} [forceErrors]  eV/Å, of every atom
 *
 * @typedef {Object} Payload
 * @property {string} structure
 * @property {number} steps     the last step of the clock
 * @property {number} [mapSteps] the last step of the map, K; what follows is the way to rest
 * @property {number[]} kept    the steps that have frames
 * @property {string[]} notes   what a reader must know
 * @property {number[]} radii   covalent ones, Å, one a species
 * @property {number} drawn     what part of them a sphere has
 * @property {Packed} species   uint8, one an atom
 * @property {string[]} [symbols]  of the species
 * @property {number[]} [masses]   amu, of every atom
 * @property {[number, string][]} labels  atoms to name
 * @property {Packed} reference float32: atoms × 3, Å
 * @property {number[][]} [vacancies] Å, where atoms of the crystal are missing
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

/** @typedef {"energy" | "fmax" | "deltaQ"} QuantityKey */

/** One potential's path: where its atoms are at each step, and on the way to rest after them. */
export class RelaxationPath {
  /**
   * @param {PayloadPath} packed
   * @param {Float32Array} reference
   * @param {number[]} kept  steps of the clock that have frames
   * @param {number} mapSteps  K
   */
  constructor(packed, reference, kept, mapSteps) {
    const { rest } = packed;
    this.potential = packed.potential;
    this.colour = packed.colour;
    this.last = packed.last;
    this.lost = packed.lost;
    this.deltaQAtRest = packed.deltaQAtRest;
    this.forceErrors = packed.forceErrors;
    this.reference = reference;
    this.mapSteps = mapSteps;
    /** Whether the last frame is at rest; false where the way there is not known. */
    this.arrived = rest?.arrived ?? false;
    /** Steps that have numbers: every one of the map, then those of the frames on the way to rest. */
    this.times = [...packed.energy.keys(), ...(rest?.steps.slice(1) ?? [])];
    const all = (/** @type {QuantityKey} */ key) => [...packed[key], ...(rest?.[key].slice(1) ?? [])];
    this.energy = all("energy");
    this.fmax = all("fmax");
    this.deltaQ = all("deltaQ");
    const size = reference.length;
    const ofMap = kept.filter((step) => step <= Math.min(packed.last, mapSteps));
    const moved = new Int16Array(unpack(packed.moved));
    /** @type {{step: number, moved: Int16Array, scale: number}[]} */
    this.frames = ofMap.map((step, at) => ({
      step, moved: moved.subarray(at * size, (at + 1) * size), scale: packed.scale,
    }));
    if (rest) {
      const onTheWay = new Int16Array(unpack(rest.moved));
      rest.steps.slice(1).forEach((step, at) => this.frames.push({
        step, moved: onTheWay.subarray((at + 1) * size, (at + 2) * size), scale: rest.scale,
      }));
    }
    this.kept = this.frames.map(({ step }) => step);
  }

  /** The last step that has a frame. */
  get end() {
    return this.kept[this.kept.length - 1];
  }

  /**
   * The step shown at `step` of the common clock: a path that has ended stays at its last.
   * @param {number} step
   */
  held(step) {
    if (step <= this.mapSteps || this.end <= this.mapSteps) return Math.min(step, this.last);
    return this.kept[lastNotAfter(this.kept, step)];
  }

  /**
   * Is there nothing to show at `step`, because the relaxation had been given up?
   * @param {number} step
   */
  gone(step) {
    return this.lost !== "" && step > this.last;
  }

  /**
   * A number at the step that is shown at `step`.
   * @param {QuantityKey} key
   * @param {number} step
   */
  value(key, step) {
    return this[key][lastNotAfter(this.times, this.held(step))] ?? null;
  }

  /**
   * Displacement from the reference at `step`: atoms × 3, Å.
   * @param {number} step
   */
  displacement(step) {
    const { moved, scale } = this.frames[lastNotAfter(this.kept, this.held(step))];
    return Float32Array.from(moved, (units) => units * scale);
  }

  /**
   * Positions at `step` (atoms × 3, Å) and the distance of each atom to its reference place.
   * @param {number} step
   * @param {number} [times]  how many times as far from the reference the positions are; distances
   *     stay what they are
   */
  at(step, times = 1) {
    const moved = this.displacement(step);
    const distances = new Float32Array(moved.length / 3);
    for (let atom = 0; atom < distances.length; atom++) {
      distances[atom] = Math.hypot(moved[3 * atom], moved[3 * atom + 1], moved[3 * atom + 2]);
    }
    return { positions: moved.map((value, index) => times * value + this.reference[index]), distances };
  }
}

/** Both paths, and what they share: the payload, with its arrays unpacked. */
export class Comparison {
  /** @param {Payload} payload */
  constructor(payload) {
    this.structure = payload.structure;
    this.steps = payload.steps;
    this.mapSteps = payload.mapSteps ?? payload.steps;
    this.kept = payload.kept;
    this.notes = payload.notes;
    this.radii = payload.radii;
    this.drawn = payload.drawn;
    this.labels = payload.labels;
    /** Of the species; and of every atom, amu. Pictures do without both. */
    this.symbols = payload.symbols ?? [];
    this.masses = payload.masses ?? [];
    this.vacancies = Float32Array.from((payload.vacancies ?? []).flat());
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
    this.paths = payload.paths.map(
      (path) => new RelaxationPath(path, this.reference, payload.kept, this.mapSteps));
    this.atoms = this.species.length;
    /** Of every atom as it is drawn, Å. */
    this.sizes = Float32Array.from(this.species, (kind) => this.drawn * this.radii[kind]);
  }

  /** Whether the clock goes on to rest. */
  get goesOn() {
    return this.steps > this.mapSteps;
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
   * Arrows from the surfaces of the spheres towards the places in the reference, as long as what
   * is left times `times`: from and to, atoms × 3, Å. One that is too short to see has no length.
   * @param {Float32Array} positions  where the spheres are drawn
   * @param {Float32Array} distances  what is left, Å
   * @param {number} times
   */
  arrows(positions, distances, times) {
    const from = Float32Array.from(positions), to = Float32Array.from(positions);
    distances.forEach((distance, atom) => {
      if (times * distance < SHORTEST_ARROW) return;
      const way = [0, 1, 2].map((part) => this.reference[3 * atom + part] - positions[3 * atom + part]);
      const length = Math.hypot(...way);
      way.forEach((part, k) => {
        const at = 3 * atom + k, direction = part / length;
        from[at] += direction * this.sizes[atom];
        to[at] += direction * (this.sizes[atom] + times * distance);
      });
    });
    return { from, to };
  }

  /**
   * The last step, up to `step`, that has a frame.
   * @param {number} step
   */
  frameAt(step) {
    return this.kept[lastNotAfter(this.kept, step)];
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

const SHORTEST_ARROW = 0.15; // Å, as drawn: below that there would only be a head

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

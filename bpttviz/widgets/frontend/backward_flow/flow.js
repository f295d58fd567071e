/**
 * A relaxation forward and its gradient backward, decoded from what backward_flow.py packed.
 *
 * @typedef {import("../shared/packed.js").Packed} Packed
 *
 * @typedef {Object} FlowPayload
 * @property {import("../player/comparison.js").Payload} scene
 * @property {string[]} symbols
 * @property {number[]} masses     amu
 * @property {string[]} forward    scale of colours of the way forward
 * @property {string[]} backward   and of the way back
 * @property {number} longest      Å, of the longest arrow
 * @property {Packed} forces       float32: steps + 1 × atoms × 3, eV/Å
 * @property {Packed} gradients    likewise, amu^½
 * @property {number[]} contribution  norm of what each step adds to dL/dθ
 * @property {string} words
 */
import { Comparison } from "../player/comparison.js";
import { unpack } from "../shared/packed.js";

/** One step of one of the two ways. */
export class Flow extends Comparison {
  /** @param {FlowPayload} payload */
  constructor(payload) {
    super(payload.scene);
    this.symbols = payload.symbols;
    this.masses = payload.masses;
    this.colours = [payload.forward, payload.backward];
    this.longest = payload.longest;
    this.contribution = payload.contribution;
    this.words = payload.words;
    this.vectors = [payload.forces, payload.gradients].map((packed) => new Float32Array(unpack(packed)));
    this.largest = this.vectors.map((all) => Math.max(...lengths(all)) || 1);
    /** @type {number[][]} */
    this.orders = [];
    /** Norm of dL/dX at each step, amu^½. */
    this.norms = Array.from({ length: this.steps + 1 }, (_, step) => Math.hypot(...this.vectorsAt(step, 1)));
  }

  /** The last moment of the clock. */
  get last() {
    return 2 * this.steps + 1;
  }

  /**
   * Which step, and which way (0 forward, 1 back), a moment of the clock is.
   * @param {number} moment
   * @returns {{step: number, way: 0 | 1}}
   */
  at(moment) {
    return moment <= this.steps ? { step: moment, way: 0 } : { step: this.last - moment, way: 1 };
  }

  /**
   * Forces (way 0) or dL/dX (way 1) at a step: atoms × 3.
   * @param {number} step
   * @param {number} way
   */
  vectorsAt(step, way) {
    return this.vectors[way].subarray(3 * this.atoms * step, 3 * this.atoms * (step + 1));
  }

  /**
   * The largest of the forces or of dL/dX: of one step, or of all.
   * @param {number} step
   * @param {number} way
   * @param {boolean} ofThisStep
   */
  longestArrow(step, way, ofThisStep) {
    return ofThisStep ? Math.max(...lengths(this.vectorsAt(step, way))) || 1 : this.largest[way];
  }

  /**
   * Each atom's part of the sum of squares of its arrows: |dL/dX|², or |F|².
   * @param {number} step
   * @param {number} way
   */
  shares(step, way) {
    const squares = lengths(this.vectorsAt(step, way)).map((size) => size * size);
    const all = squares.reduce((sum, one) => sum + one, 0) || 1;
    return squares.map((one) => one / all);
  }

  /**
   * Atoms in the order in which a list of them stays while the clock goes: by the mean over all
   * steps of what is listed, the largest first.
   * @param {number} way
   */
  order(way) {
    return (this.orders[way] ??= this.inOrder((step) => (way ? this.shares(step, 1) : this.partsOfEnd(step))));
  }

  /** @param {(step: number) => number[]} listed */
  inOrder(listed) {
    const sums = new Float64Array(this.atoms);
    for (let step = 0; step <= this.steps; step++) listed(step).forEach((part, atom) => { sums[atom] += part; });
    return Array.from(sums.keys()).sort((a, b) => sums[b] - sums[a]);
  }

  /**
   * Each atom's part of ΔQ².
   * @param {number} step
   */
  partsOfEnd(step) {
    const { distances } = this.paths[0].at(step);
    const squares = Array.from(distances, (distance, atom) => this.masses[atom] * distance * distance);
    const all = squares.reduce((sum, one) => sum + one, 0) || 1;
    return squares.map((one) => one / all);
  }
}

/**
 * Lengths of vectors, three numbers each.
 * @param {Float32Array} vectors
 */
export function lengths(vectors) {
  return Array.from({ length: vectors.length / 3 }, (_, k) =>
    Math.hypot(vectors[3 * k], vectors[3 * k + 1], vectors[3 * k + 2]));
}

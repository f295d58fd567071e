/**
 * The landscapes that a page can train: bpttviz/potentials/landscape.py, by hand and in float64.
 *
 * @typedef {Object} Description  of a landscape (bpttviz/widgets/landscape_payload.py)
 * @property {"wells" | "muller-brown" | "network"} kind
 * @property {number[]} parameters  all of them, tensor after tensor, as in Python
 * @property {Object<string, any>} constants
 *
 * @typedef {[number, number]} Vector
 *
 * @typedef {Object} Landscape  energies in eV, places in Å
 * @property {Float64Array} parameters
 * @property {(x: number, y: number) => number} energy
 * @property {(x: number, y: number) => Vector} slope
 * @property {(x: number, y: number, v: Vector, scale: number, into: Float64Array) => Vector} pullBack
 *     the gradient of v·∇E: returned by the place (the Hessian times v); by the parameters, times
 *     `scale`, added to `into`
 */
import { NetworkLandscape } from "./network.js";

/** A bowl with Gaussian wells in it. Parameters: centres, depths, logarithms of widths, bowl. */
export class WellsLandscape {
  /** @param {Description} description */
  constructor({ parameters }) {
    this.parameters = Float64Array.from(parameters);
    this.count = (parameters.length - 1) / 4;
  }

  /**
   * A well as it is seen from a place.
   * @param {number} i
   * @param {number} x
   * @param {number} y
   */
  seen(i, x, y) {
    const { parameters: p, count } = this, ux = x - p[2 * i], uy = y - p[2 * i + 1];
    const inverse = Math.exp(-2 * p[3 * count + i]); // 1 / width²
    const depth = p[2 * count + i], gauss = Math.exp(-0.5 * (ux * ux + uy * uy) * inverse);
    return { ux, uy, inverse, depth, gauss };
  }

  get bowl() {
    return this.parameters[4 * this.count];
  }

  /** @type {Landscape["energy"]} */
  energy(x, y) {
    let sum = 0.5 * this.bowl * (x * x + y * y);
    for (let i = 0; i < this.count; i++) {
      const { depth, gauss } = this.seen(i, x, y);
      sum -= depth * gauss;
    }
    return sum;
  }

  /** @type {Landscape["slope"]} */
  slope(x, y) {
    let [sx, sy] = [this.bowl * x, this.bowl * y];
    for (let i = 0; i < this.count; i++) {
      const { ux, uy, inverse, depth, gauss } = this.seen(i, x, y), pull = depth * gauss * inverse;
      sx += pull * ux;
      sy += pull * uy;
    }
    return [sx, sy];
  }

  /** @type {Landscape["pullBack"]} */
  pullBack(x, y, [vx, vy], scale, into) {
    const { count, bowl } = this;
    let [hx, hy] = [bowl * vx, bowl * vy];
    into[4 * count] += scale * (vx * x + vy * y);
    for (let i = 0; i < count; i++) {
      const { ux, uy, inverse, depth, gauss } = this.seen(i, x, y), along = vx * ux + vy * uy;
      const pull = depth * gauss * inverse;
      const [gx, gy] = [pull * (vx - along * inverse * ux), pull * (vy - along * inverse * uy)];
      hx += gx;
      hy += gy;
      into[2 * i] -= scale * gx;
      into[2 * i + 1] -= scale * gy;
      into[2 * count + i] += scale * gauss * along * inverse;
      into[3 * count + i] += scale * pull * along * ((ux * ux + uy * uy) * inverse - 2);
    }
    return [hx, hy];
  }
}

/** The surface of Müller and Brown. Parameters: its four amplitudes. */
export class MullerBrownLandscape {
  /** @param {Description} description */
  constructor({ parameters, constants }) {
    this.parameters = Float64Array.from(parameters);
    /** @type {{scale: number, centres: Vector[], xx: number[], xy: number[], yy: number[]}} */
    this.constants = /** @type {any} */ (constants);
  }

  /**
   * A term without its amplitude, and the slope of its exponent.
   * @param {number} i
   * @param {number} x
   * @param {number} y
   */
  term(i, x, y) {
    const { scale, centres, xx, xy, yy } = this.constants;
    const dx = x - centres[i][0], dy = y - centres[i][1];
    return {
      value: scale * Math.exp(xx[i] * dx * dx + xy[i] * dx * dy + yy[i] * dy * dy),
      qx: 2 * xx[i] * dx + xy[i] * dy, qy: xy[i] * dx + 2 * yy[i] * dy,
    };
  }

  /** @type {Landscape["energy"]} */
  energy(x, y) {
    return this.parameters.reduce((sum, amplitude, i) => sum + amplitude * this.term(i, x, y).value, 0);
  }

  /** @type {Landscape["slope"]} */
  slope(x, y) {
    let sx = 0, sy = 0;
    this.parameters.forEach((amplitude, i) => {
      const { value, qx, qy } = this.term(i, x, y);
      sx += amplitude * value * qx;
      sy += amplitude * value * qy;
    });
    return [sx, sy];
  }

  /** @type {Landscape["pullBack"]} */
  pullBack(x, y, [vx, vy], scale, into) {
    const { xx, xy, yy } = this.constants;
    let hx = 0, hy = 0;
    this.parameters.forEach((amplitude, i) => {
      const { value, qx, qy } = this.term(i, x, y), along = vx * qx + vy * qy;
      into[i] += scale * value * along;
      hx += amplitude * value * (qx * along + 2 * xx[i] * vx + xy[i] * vy);
      hy += amplitude * value * (qy * along + xy[i] * vx + 2 * yy[i] * vy);
    });
    return [hx, hy];
  }
}

const KINDS = { "wells": WellsLandscape, "muller-brown": MullerBrownLandscape, "network": NetworkLandscape };

/**
 * @param {Description} description
 * @returns {Landscape}
 */
export function makeLandscape(description) {
  return new KINDS[description.kind](description);
}

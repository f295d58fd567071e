/** A landscape in a browser: a spline that Python made of it (bpttviz/teaching/surface.py). */
import { unpack } from "../shared/packed.js";
import { drain } from "./basins.js";

/**
 * @typedef {Object} SurfaceData
 * @property {[number, number, number, number]} window  low and high x, low and high y, Å
 * @property {[number, number]} origin  of the first node, Å
 * @property {number} pitch             between nodes, Å
 * @property {number} columns
 * @property {import("../shared/packed.js").Packed} coefficients  float32: rows × columns, eV, lowest row first
 * @property {number} lowest            eV
 * @property {([number, number] | null)[]} minima  Å, by the number that gives them their colour; null
 *     where one has vanished
 */

/** Nodes that a place needs, from two below it. */
const TAPS = 6;

/**
 * The weights of the six B-splines around a place, and their first and second derivatives.
 * @param {number} t  place between two nodes, 0 to 1
 * @param {Float64Array} into  6 values, 6 slopes, 6 curvatures; per node
 */
export function weights(t, into) {
  for (let tap = 0; tap < TAPS; tap++) {
    const x = t - (tap - 2), a = Math.abs(x), sign = Math.sign(x);
    let value, slope, curvature;
    if (a < 1) {
      value = 11 / 20 + a * a * (-1 / 2 + a * a * (1 / 4 - a / 12));
      slope = a * (-1 + a * a * (1 - (5 / 12) * a));
      curvature = -1 + a * a * (3 - (5 / 3) * a);
    } else if (a < 2) {
      value = 17 / 40 + a * (5 / 8 + a * (-7 / 4 + a * (5 / 4 + a * (-3 / 8 + a / 24))));
      slope = 5 / 8 + a * (-7 / 2 + a * (15 / 4 + a * (-3 / 2 + (5 / 24) * a)));
      curvature = -7 / 2 + a * (15 / 2 + a * (-9 / 2 + (5 / 6) * a));
    } else {
      const b = Math.max(3 - a, 0);
      value = b ** 5 / 120;
      slope = -(b ** 4) / 24;
      curvature = b ** 3 / 6;
    }
    into[tap] = value;
    into[TAPS + tap] = sign * slope;
    into[2 * TAPS + tap] = curvature;
  }
}

/**
 * The first two rows of `weights`, by powers of t: several times as fast.
 * @param {number} t
 * @param {Float64Array} into
 */
function slopeWeights(t, into) {
  const r = 1 - t, t2 = t * t, r2 = r * r, t4 = t2 * t2, r4 = r2 * r2;
  into[0] = (r4 * r) / 120;
  into[1] = (1 + r * (5 + r * (10 + r * (10 + r * (5 - 5 * r))))) / 120;
  into[2] = (66 + t2 * (-60 + t2 * (30 - 10 * t))) / 120;
  into[3] = (66 + r2 * (-60 + r2 * (30 - 10 * r))) / 120;
  into[4] = (1 + t * (5 + t * (10 + t * (10 + t * (5 - 5 * t))))) / 120;
  into[5] = (t4 * t) / 120;
  into[6] = -r4 / 24;
  into[7] = -(1 + r * (4 + r * (6 + r * (4 - 5 * r)))) / 24;
  into[8] = (t * (-24 + t2 * (24 - 10 * t))) / 24;
  into[9] = (r * (24 + r2 * (-24 + 10 * r))) / 24;
  into[10] = (1 + t * (4 + t * (6 + t * (4 - 5 * t)))) / 24;
  into[11] = t4 / 24;
}

/** A surface E(x, y) with two derivatives, from the coefficients of a quintic spline. */
export class SplineSurface {
  /** @param {SurfaceData} data */
  constructor(data) {
    this.origin = data.origin;
    this.pitch = data.pitch;
    this.columns = data.columns;
    this.coefficients = new Float32Array(unpack(data.coefficients));
    this.window = data.window;
    this.lowest = data.lowest;
    this.minima = data.minima;
    this.rows = this.coefficients.length / data.columns;
    this.across = new Float64Array(3 * TAPS);
    this.up = new Float64Array(3 * TAPS);
    /** @type {import("./basins.js").Basins | null} */
    this.drained = null;
  }

  /** Worked out when they are first asked for. */
  get basins() {
    return (this.drained ??= drain(this));
  }

  /**
   * The slope alone (eV/Å) at a place (Å), which a descent asks for a hundred thousand times.
   * @param {number} x
   * @param {number} y
   * @param {number[]} into  its two components
   * @returns {boolean} false off the map
   */
  slopeAt(x, y, into) {
    const { pitch, columns, rows, coefficients, across, up } = this;
    const u = (x - this.origin[0]) / pitch, v = (y - this.origin[1]) / pitch;
    const i = Math.floor(u), j = Math.floor(v);
    if (!(i >= 2 && j >= 2 && i <= columns - 4 && j <= rows - 4)) return false;
    slopeWeights(u - i, across);
    slopeWeights(v - j, up);
    let ex = 0, ey = 0;
    for (let row = 0; row < TAPS; row++) {
      const at = (j - 2 + row) * columns + i - 2;
      let value = 0, slope = 0;
      for (let tap = 0; tap < TAPS; tap++) {
        value += across[tap] * coefficients[at + tap];
        slope += across[TAPS + tap] * coefficients[at + tap];
      }
      ex += up[row] * slope;
      ey += up[TAPS + row] * value;
    }
    into[0] = ex / pitch;
    into[1] = ey / pitch;
    return true;
  }

  /**
   * Energy (eV), its slope (eV/Å) and its curvature (eV/Å²) at a place (Å).
   * @param {number} x
   * @param {number} y
   * @returns {{energy: number, slope: [number, number], xx: number, xy: number, yy: number} | null}
   *     null off the map
   */
  at(x, y) {
    const { pitch, columns, rows, coefficients, across, up } = this;
    const u = (x - this.origin[0]) / pitch, v = (y - this.origin[1]) / pitch;
    const i = Math.floor(u), j = Math.floor(v);
    // A comparison with NaN is false: places that are no number are off the map too.
    if (!(i >= 2 && j >= 2 && i <= columns - 4 && j <= rows - 4)) return null;
    weights(u - i, across);
    weights(v - j, up);
    let energy = 0, ex = 0, ey = 0, xx = 0, xy = 0, yy = 0;
    for (let row = 0; row < TAPS; row++) {
      let at = (j - 2 + row) * columns + i - 2, value = 0, slope = 0, curvature = 0;
      for (let tap = 0; tap < TAPS; tap++, at++) {
        value += across[tap] * coefficients[at];
        slope += across[TAPS + tap] * coefficients[at];
        curvature += across[2 * TAPS + tap] * coefficients[at];
      }
      energy += up[row] * value;
      ex += up[row] * slope;
      xx += up[row] * curvature;
      ey += up[TAPS + row] * value;
      xy += up[TAPS + row] * slope;
      yy += up[2 * TAPS + row] * value;
    }
    const h2 = pitch * pitch;
    return { energy, slope: [ex / pitch, ey / pitch], xx: xx / h2, xy: xy / h2, yy: yy / h2 };
  }

  /**
   * Energy and slope on a raster over the window, row 0 on top, at the middle of each cell.
   * @param {number} width
   * @param {number} height
   * @returns {{energy: Float32Array, ex: Float32Array, ey: Float32Array}}
   */
  raster(width, height) {
    const [x0, x1, y0, y1] = this.window;
    const { pitch, columns } = this;
    const across = line(width, x0, x1, this.origin[0], pitch);
    const energy = new Float32Array(width * height), ex = energy.slice(), ey = energy.slice();
    const value = new Float64Array(columns), slope = new Float64Array(columns);
    line(height, y1, y0, this.origin[1], pitch).forEach((place, row) => {
      this.sumOfRows(place, value, slope);
      across.forEach(({ first, w }, col) => {
        let e = 0, dx = 0, dy = 0;
        for (let k = 0; k < TAPS; k++) {
          e += w[k] * value[first + k];
          dx += w[TAPS + k] * value[first + k];
          dy += w[k] * slope[first + k];
        }
        const at = row * width + col;
        energy[at] = e;
        ex[at] = dx / pitch;
        ey[at] = dy / pitch;
      });
    });
    return { energy, ex, ey };
  }

  /**
   * Rows of coefficients weighted for one height: for its values, and for its slopes along y.
   * @param {Place} place
   * @param {Float64Array} value  per column
   * @param {Float64Array} slope
   */
  sumOfRows({ first, w }, value, slope) {
    const { columns, coefficients } = this;
    for (let c = 0; c < columns; c++) {
      let sum = 0, change = 0;
      for (let k = 0; k < TAPS; k++) {
        const coefficient = coefficients[(first + k) * columns + c];
        sum += w[k] * coefficient;
        change += w[TAPS + k] * coefficient;
      }
      value[c] = sum;
      slope[c] = change;
    }
  }
}

/** @typedef {{first: number, w: Float64Array}} Place  the first of its six nodes, and their weights */

/**
 * The middles of `count` cells between two ends.
 * @param {number} count
 * @param {number} from    Å
 * @param {number} to      Å
 * @param {number} origin  Å
 * @param {number} pitch   Å
 * @returns {Place[]}
 */
function line(count, from, to, origin, pitch) {
  return Array.from({ length: count }, (_, k) => {
    const place = (from + ((k + 0.5) / count) * (to - from) - origin) / pitch;
    const w = new Float64Array(3 * TAPS);
    weights(place - Math.floor(place), w);
    return { first: Math.floor(place) - 2, w };
  });
}

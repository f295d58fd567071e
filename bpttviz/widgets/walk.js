/**
 * A walk on a terrain that Python surveyed (bpttviz/terrain.py), and the gradient's way back along
 * it. This is all the physics that runs in a browser; a test holds it to `relax` and to
 * `diagnose_gradient`.
 */
import { unpack } from "./clip.js";

/**
 * @typedef {Object} TerrainData
 * @property {[number, number, number, number]} window  low and high x, low and high y, Å
 * @property {[number, number]} origin  of the first node, Å
 * @property {number} pitch             between nodes, Å
 * @property {number} columns
 * @property {import("./clip.js").Packed} coefficients  float32: rows × columns, eV, lowest row first
 * @property {number} lowest            eV
 * @property {number} basinColumns
 * @property {import("./clip.js").Packed} basins  uint8: rows × basinColumns over the window
 * @property {([number, number] | null)[]} minima  Å; null where one has vanished
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
    let value, slope, bend;
    if (a < 1) {
      value = 11 / 20 + a * a * (-1 / 2 + a * a * (1 / 4 - a / 12));
      slope = a * (-1 + a * a * (1 - (5 / 12) * a));
      bend = -1 + a * a * (3 - (5 / 3) * a);
    } else if (a < 2) {
      value = 17 / 40 + a * (5 / 8 + a * (-7 / 4 + a * (5 / 4 + a * (-3 / 8 + a / 24))));
      slope = 5 / 8 + a * (-7 / 2 + a * (15 / 4 + a * (-3 / 2 + (5 / 24) * a)));
      bend = -7 / 2 + a * (15 / 2 + a * (-9 / 2 + (5 / 6) * a));
    } else {
      const b = Math.max(3 - a, 0);
      value = b ** 5 / 120;
      slope = -(b ** 4) / 24;
      bend = b ** 3 / 6;
    }
    into[tap] = value;
    into[TAPS + tap] = sign * slope;
    into[2 * TAPS + tap] = bend;
  }
}

/** A surface E(x, y) with two derivatives, from the coefficients of a quintic spline. */
export class Terrain {
  /** @param {TerrainData} data */
  constructor(data) {
    const { origin, pitch, columns } = data;
    const coefficients = new Float32Array(unpack(data.coefficients));
    Object.assign(this, { origin, pitch, columns, coefficients });
    this.window = data.window;
    this.lowest = data.lowest;
    this.minima = data.minima;
    this.basinColumns = data.basinColumns;
    this.basins = new Uint8Array(unpack(data.basins));
    this.rows = coefficients.length / columns;
    this.across = new Float64Array(3 * TAPS);
    this.up = new Float64Array(3 * TAPS);
  }

  /**
   * Energy (eV), its slope (eV/Å) and its curvature (eV/Å²) at a place (Å).
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
      let at = (j - 2 + row) * columns + i - 2, value = 0, slope = 0, bend = 0;
      for (let tap = 0; tap < TAPS; tap++, at++) {
        value += across[tap] * coefficients[at];
        slope += across[TAPS + tap] * coefficients[at];
        bend += across[2 * TAPS + tap] * coefficients[at];
      }
      energy += up[row] * value;
      ex += up[row] * slope;
      xx += up[row] * bend;
      ey += up[TAPS + row] * value;
      xy += up[TAPS + row] * slope;
      yy += up[2 * TAPS + row] * value;
    }
    const h2 = pitch * pitch;
    return { energy, slope: [ex / pitch, ey / pitch], xx: xx / h2, xy: xy / h2, yy: yy / h2 };
  }

  /**
   * Energy and slope on a raster over the window, row 0 on top, at the middle of each cell.
   * @returns {{energy: Float32Array, ex: Float32Array, ey: Float32Array}}
   */
  raster(width, height) {
    const [x0, x1, y0, y1] = this.window;
    const { pitch, columns, coefficients } = this;
    const line = (count, low, high, origin) => Array.from({ length: count }, (_, k) => {
      const place = (low + ((k + 0.5) / count) * (high - low) - origin) / pitch;
      const w = new Float64Array(3 * TAPS);
      weights(place - Math.floor(place), w);
      return { first: Math.floor(place) - 2, w };
    });
    const cols = line(width, x0, x1, this.origin[0]), lines = line(height, y1, y0, this.origin[1]);
    const [energy, ex, ey] = [0, 1, 2].map(() => new Float32Array(width * height));
    const value = new Float64Array(columns), slope = new Float64Array(columns);
    lines.forEach(({ first, w }, row) => {
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
      cols.forEach(({ first: left, w: across }, col) => {
        let e = 0, dx = 0, dy = 0;
        for (let k = 0; k < TAPS; k++) {
          e += across[k] * value[left + k];
          dx += across[TAPS + k] * value[left + k];
          dy += across[k] * slope[left + k];
        }
        const at = row * width + col;
        energy[at] = e;
        ex[at] = dx / pitch;
        ey[at] = dy / pitch;
      });
    });
    return { energy, ex, ey };
  }
}

/**
 * A walk: X(t+1) = X(t) + eta F(X(t)), K times or until it leaves the map.
 * @typedef {Object} Walk
 * @property {Float64Array} x
 * @property {Float64Array} y   Å, made + 1 places; the last may be off the map, if it is lost
 * @property {number} made      steps
 * @property {boolean} lost     it left the map: nobody here knows where to
 * @property {number[][]} bends (xx, xy, yy) eV/Å² at each place on the map
 * @property {number} force     eV/Å, at the end
 */

/**
 * @param {Terrain} terrain
 * @param {[number, number]} start  Å
 * @param {number} eta   Å²/eV
 * @param {number} steps K
 * @returns {Walk}
 */
export function walk(terrain, [x, y], eta, steps) {
  const xs = new Float64Array(steps + 1), ys = new Float64Array(steps + 1), bends = [];
  let made = 0;
  for (; ; made++) {
    xs[made] = x;
    ys[made] = y;
    const here = terrain.at(x, y);
    if (!here) return { x: xs.slice(0, made + 1), y: ys.slice(0, made + 1), made, lost: true, bends, force: NaN };
    bends.push([here.xx, here.xy, here.yy]);
    if (made === steps) {
      return { x: xs, y: ys, made, lost: false, bends, force: Math.hypot(...here.slope) };
    }
    x -= eta * here.slope[0];
    y -= eta * here.slope[1];
  }
}

/**
 * The gradient of the distance between the walk's end and `target`, taken back step by step:
 * g(t) = g(t+1) - eta H(X(t)) g(t+1).
 *
 * @param {Walk} walk  one that is not lost
 * @param {number} eta
 * @param {[number, number]} target  Å
 * @returns {{x: Float64Array, y: Float64Array, size: Float64Array, distance: number}}
 *     dL/dX(t), without unit, t = 0 to K; its size; and the distance L in Å
 */
export function lookBack({ x, y, made, bends }, eta, target) {
  const gx = new Float64Array(made + 1), gy = new Float64Array(made + 1);
  const [dx, dy] = [x[made] - target[0], y[made] - target[1]];
  const distance = Math.hypot(dx, dy);
  [gx[made], gy[made]] = distance > 0 ? [dx / distance, dy / distance] : [0, 0];
  for (let t = made - 1; t >= 0; t--) {
    const [xx, xy, yy] = bends[t];
    gx[t] = gx[t + 1] - eta * (xx * gx[t + 1] + xy * gy[t + 1]);
    gy[t] = gy[t + 1] - eta * (xy * gx[t + 1] + yy * gy[t + 1]);
  }
  return { x: gx, y: gy, size: gx.map((value, t) => Math.hypot(value, gy[t])), distance };
}

/** The two curvatures at a place, the softer first: eigenvalues of its Hessian. */
export function curvatures([xx, xy, yy]) {
  const mean = (xx + yy) / 2, half = Math.hypot((xx - yy) / 2, xy);
  return [mean - half, mean + half];
}

/**
 * What became of the gradient: the words and the limits of `bpttviz.GradientDiagnosis`.
 * @param {Float64Array} size  of dL/dX(t)
 * @param {number} radius      spectral radius of the last step's map
 * @param {{faded: number, exploded: number, stable: number}} limits
 */
export function verdict(size, radius, { faded, exploded, stable }) {
  const last = size[size.length - 1], largest = Math.max(...size);
  if (last === 0) return "nothing to learn";
  if (!(largest <= exploded * last) || radius > stable) return "exploding";
  return size[0] < faded * last ? "fading" : "healthy";
}

/**
 * Lines of equal height, by marching squares.
 * @param {Float32Array} heights  rows × width, on the corners of squares
 * @param {number} width
 * @param {number} level
 * @param {(x0: number, y0: number, x1: number, y1: number) => void} draw  in squares
 */
export function contour(heights, width, level, draw) {
  const rows = heights.length / width;
  const part = (a, b) => (level - a) / (b - a);
  for (let row = 0; row + 1 < rows; row++) {
    for (let col = 0; col + 1 < width; col++) {
      const at = row * width + col;
      const [a, b, d, c] = [heights[at], heights[at + 1], heights[at + width], heights[at + width + 1]];
      const cuts = [];
      if (a < level !== b < level) cuts.push(col + part(a, b), row);
      if (b < level !== c < level) cuts.push(col + 1, row + part(b, c));
      if (d < level !== c < level) cuts.push(col + part(d, c), row + 1);
      if (a < level !== d < level) cuts.push(col, row + part(a, d));
      for (let k = 0; k + 3 < cuts.length; k += 4) draw(cuts[k], cuts[k + 1], cuts[k + 2], cuts[k + 3]);
    }
  }
}

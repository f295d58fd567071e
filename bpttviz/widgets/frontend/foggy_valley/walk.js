/**
 * A walk on a surface, and the gradient's way back along it. This is all the physics that runs in a
 * browser; a test holds it to `relax` and to `diagnose_gradient`.
 */

/** @typedef {[number, number, number]} Hessian  (xx, xy, yy) eV/Å² */

/**
 * A walk: X(t+1) = X(t) + eta F(X(t)), K times or until it leaves the map.
 * @typedef {Object} Walk
 * @property {Float64Array} x
 * @property {Float64Array} y   Å, made + 1 places; the last may be off the map, if it is lost
 * @property {number} made      steps
 * @property {boolean} lost     it left the map: nobody here knows where to
 * @property {Hessian[]} hessians  at each place on the map
 * @property {number} force     eV/Å, at the end
 */

/**
 * @param {import("./surface.js").SplineSurface} surface
 * @param {[number, number]} start  Å
 * @param {number} eta   Å²/eV
 * @param {number} steps K
 * @returns {Walk}
 */
export function walk(surface, [x, y], eta, steps) {
  const xs = new Float64Array(steps + 1), ys = new Float64Array(steps + 1);
  /** @type {Hessian[]} */
  const hessians = [];
  let made = 0;
  for (; ; made++) {
    xs[made] = x;
    ys[made] = y;
    const here = surface.at(x, y);
    if (!here) {
      return { x: xs.slice(0, made + 1), y: ys.slice(0, made + 1), made, lost: true, hessians, force: NaN };
    }
    hessians.push([here.xx, here.xy, here.yy]);
    if (made === steps) {
      return { x: xs, y: ys, made, lost: false, hessians, force: Math.hypot(...here.slope) };
    }
    x -= eta * here.slope[0];
    y -= eta * here.slope[1];
  }
}

/**
 * The gradient of the distance between the walk's end and `target`, taken back step by step:
 * g(t) = g(t+1) - eta H(X(t)) g(t+1).
 *
 * @typedef {Object} WayBack  dL/dX(t), without unit, t = 0 to K; its size; and the distance L in Å
 * @property {Float64Array} x
 * @property {Float64Array} y
 * @property {Float64Array} size
 * @property {number} distance
 *
 * @param {Walk} walk  one that is not lost
 * @param {number} eta
 * @param {[number, number]} target  Å
 * @returns {WayBack}
 */
export function lookBack({ x, y, made, hessians }, eta, target) {
  const gx = new Float64Array(made + 1), gy = new Float64Array(made + 1);
  const [dx, dy] = [x[made] - target[0], y[made] - target[1]];
  const distance = Math.hypot(dx, dy);
  [gx[made], gy[made]] = distance > 0 ? [dx / distance, dy / distance] : [0, 0];
  for (let t = made - 1; t >= 0; t--) {
    const [xx, xy, yy] = hessians[t];
    gx[t] = gx[t + 1] - eta * (xx * gx[t + 1] + xy * gy[t + 1]);
    gy[t] = gy[t + 1] - eta * (xy * gx[t + 1] + yy * gy[t + 1]);
  }
  return { x: gx, y: gy, size: gx.map((value, t) => Math.hypot(value, gy[t])), distance };
}

/**
 * The two curvatures at a place, the softer first: eigenvalues of its Hessian.
 * @param {Hessian} hessian
 */
export function curvatures([xx, xy, yy]) {
  const mean = (xx + yy) / 2, half = Math.hypot((xx - yy) / 2, xy);
  return [mean - half, mean + half];
}

/** @typedef {{vanished: number, exploded: number, stable: number}} Limits  of `GradientDiagnosis` */

/**
 * What became of the gradient: the words and the limits of `bpttviz.GradientDiagnosis`.
 * @param {Float64Array} size  of dL/dX(t)
 * @param {number} radius      spectral radius of the last step's map
 * @param {Limits} limits
 */
export function verdict(size, radius, { vanished, exploded, stable }) {
  const last = size[size.length - 1], largest = Math.max(...size);
  if (last === 0) return "nothing to learn";
  if (!(largest <= exploded * last) || radius > stable) return "exploding";
  return size[0] < vanished * last ? "vanishing" : "healthy";
}

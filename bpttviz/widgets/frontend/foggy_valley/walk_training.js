/**
 * Training through the path: the gradient of the distance between a walk's end and its target by
 * the landscape's parameters, through every step, and Adam. What `finetune_landscape` does, in
 * float64 as there; a test holds one to the other.
 *
 * @typedef {import("./landscapes.js").Landscape} Landscape
 * @typedef {import("./landscapes.js").Vector} Vector
 *
 * @typedef {Object} Route  what is trained for
 * @property {Vector} start   Å
 * @property {Vector} target  Å
 * @property {number} eta     Å²/eV
 * @property {number} steps   K
 */

const CLIP = 1;                     // the gradient's norm is limited to this
const [MEAN, SQUARE] = [0.9, 0.999]; // what Adam's two averages keep of themselves in an update
const EPSILON = 1e-8;

/**
 * Places from start to end.
 * @param {Landscape} landscape
 * @param {Route} route
 * @returns {Vector[]}  K + 1 of them, Å
 */
export function pathOf(landscape, { start, eta, steps }) {
  /** @type {Vector[]} */
  const path = [start];
  for (let t = 0; t < steps; t++) {
    const [x, y] = path[t], [sx, sy] = landscape.slope(x, y);
    path.push([x - eta * sx, y - eta * sy]);
  }
  return path;
}

/**
 * L, and dL/dθ by hand: λ(t) = λ(t+1) - η H(X(t)) λ(t+1) goes back from the end, and each step adds
 * -η ∂(λ(t+1)·∇E(X(t)))/∂θ.
 * @param {Landscape} landscape
 * @param {Route} route
 * @returns {{distance: number, gradient: Float64Array}}  L in Å; NaN where the walk is lost
 */
export function gradientThroughWalk(landscape, route) {
  const { target, eta, steps } = route, path = pathOf(landscape, route);
  const gradient = new Float64Array(landscape.parameters.length);
  const [dx, dy] = [path[steps][0] - target[0], path[steps][1] - target[1]];
  const distance = Math.hypot(dx, dy);
  /** @type {Vector} */
  let pull = distance > 0 ? [dx / distance, dy / distance] : [0, 0];
  for (let t = steps - 1; t >= 0; t--) {
    const [hx, hy] = landscape.pullBack(path[t][0], path[t][1], pull, -eta, gradient);
    pull = [pull[0] - eta * hx, pull[1] - eta * hy];
  }
  return { distance, gradient };
}

/** A landscape in training; its parameters change in place. */
export class WalkTraining {
  /**
   * @param {Landscape} landscape
   * @param {Route} route
   * @param {number} rate  learning rate
   */
  constructor(landscape, route, rate) {
    this.landscape = landscape;
    this.route = route;
    this.rate = rate;
    this.updates = 0;
    this.mean = new Float64Array(landscape.parameters.length);
    this.square = new Float64Array(landscape.parameters.length);
  }

  /** One update. @returns {boolean} whether there was a gradient to make it along */
  update() {
    const { distance, gradient } = gradientThroughWalk(this.landscape, this.route);
    const norm = Math.hypot(...gradient);
    if (!Number.isFinite(distance) || !Number.isFinite(norm)) return false;
    this.updates++;
    const { mean, square, updates, rate, landscape: { parameters } } = this;
    const limit = Math.min(1, CLIP / (norm + 1e-6));
    const [meanPart, squarePart] = [1 - MEAN ** updates, 1 - SQUARE ** updates];
    gradient.forEach((value, k) => {
      const clipped = limit * value;
      mean[k] += (1 - MEAN) * (clipped - mean[k]);
      square[k] = SQUARE * square[k] + (1 - SQUARE) * clipped * clipped;
      parameters[k] -= ((rate / meanPart) * mean[k]) / (Math.sqrt(square[k] / squarePart) + EPSILON);
    });
    return true;
  }
}

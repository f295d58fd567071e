/** How a structure is looked at. */

/** A rotation and a zoom, shared by the panes. */
export class Camera {
  /** @param {number[][]} rotation  rows: right, up, towards the eye */
  constructor(rotation) {
    this.start = rotation;
    this.rotation = rotation;
    this.zoom = 1;
    this.reset();
  }

  reset() {
    this.rotation = this.start.map((row) => [...row]);
    this.zoom = 1;
  }

  /**
   * Turn what is seen, in radians.
   * @param {number} right  about the vertical
   * @param {number} up     about the horizontal
   */
  turn(right, up) {
    const [c, s, d, t] = [Math.cos(right), Math.sin(right), Math.cos(up), Math.sin(up)];
    const [x, y, z] = this.rotation;
    const x1 = x.map((value, k) => c * value + s * z[k]);
    const z1 = z.map((value, k) => c * value - s * x[k]);
    this.rotation = orthonormal([
      x1, y.map((value, k) => d * value + t * z1[k]), z1.map((value, k) => d * value - t * y[k]),
    ]);
  }

  /**
   * How far points reach from the middle of the picture, to the side and up: Å.
   * @param {Float32Array} positions  n × 3, Å
   * @param {number[]} middle         Å
   * @param {number} perspective
   * @param {number[][]} [rotation]
   */
  reach(positions, middle, perspective, rotation) {
    const seen = this.project(positions, middle, perspective, rotation);
    let [right, up] = [1, 1];
    for (let at = 0; at < seen.length; at += 3) {
      right = Math.max(right, Math.abs(seen[at]));
      up = Math.max(up, Math.abs(seen[at + 1]));
    }
    return [right, up];
  }

  /**
   * @param {Float32Array} positions  n × 3, Å
   * @param {number[]} middle         Å
   * @param {number} perspective      growth for each Å nearer to the eye
   * @param {number[][]} [rotation]   in place of the camera's own
   * @returns {Float32Array} n × 3: right and up in the picture's Å, and depth (larger is nearer)
   */
  project(positions, middle, perspective, rotation = this.rotation) {
    const [r, u, e] = rotation;
    const seen = new Float32Array(positions.length);
    for (let at = 0; at < positions.length; at += 3) {
      const x = positions[at] - middle[0];
      const y = positions[at + 1] - middle[1];
      const z = positions[at + 2] - middle[2];
      const depth = e[0] * x + e[1] * y + e[2] * z;
      const grown = Math.max(1 + perspective * depth, 0.05);
      seen[at] = grown * (r[0] * x + r[1] * y + r[2] * z);
      seen[at + 1] = grown * (u[0] * x + u[1] * y + u[2] * z);
      seen[at + 2] = depth;
    }
    return seen;
  }
}

/**
 * Rows made perpendicular and of length one again: many small turns add up rounding.
 * @param {number[][]} rows
 */
function orthonormal([a, b]) {
  const unit = (/** @type {number[]} */ v) => v.map((value) => value / Math.hypot(...v));
  const x = unit(a);
  const along = x[0] * b[0] + x[1] * b[1] + x[2] * b[2];
  const y = unit(b.map((value, k) => value - along * x[k]));
  const z = [x[1] * y[2] - x[2] * y[1], x[2] * y[0] - x[0] * y[2], x[0] * y[1] - x[1] * y[0]];
  return [x, y, z];
}

/** A small neural network for a surface: two hidden layers of tanh, and a bowl around it. */

export class NetworkLandscape {
  /** @param {import("./landscapes.js").Description} description */
  constructor({ parameters, constants: { width, bowl } }) {
    this.parameters = Float64Array.from(parameters);
    this.width = /** @type {number} */ (width);
    this.bowl = /** @type {number} */ (bowl);
    const layer = (/** @type {number} */ from, /** @type {number} */ size) => this.parameters.subarray(from, from + size);
    // As PyTorch has them: (to, from) weights, row by row, then biases.
    this.w1 = layer(0, 2 * width);
    this.b1 = layer(2 * width, width);
    this.w2 = layer(3 * width, width * width);
    this.b2 = layer((3 + width) * width, width);
    this.w3 = layer((4 + width) * width, width);
    this.b3 = layer((5 + width) * width, 1);
    const made = () => new Float64Array(width);
    /** Scratch: what the two layers put out, and how steep they are there. */
    this.h1 = made();
    this.h2 = made();
    this.d1 = made();
    this.d2 = made();
  }

  /**
   * Work out both layers.
   * @param {number} x
   * @param {number} y
   */
  run(x, y) {
    const { width, w1, b1, w2, b2, h1, h2, d1, d2 } = this;
    for (let i = 0; i < width; i++) {
      h1[i] = Math.tanh(w1[2 * i] * x + w1[2 * i + 1] * y + b1[i]);
      d1[i] = 1 - h1[i] * h1[i];
    }
    for (let j = 0; j < width; j++) {
      let sum = b2[j];
      for (let i = 0; i < width; i++) sum += w2[j * width + i] * h1[i];
      h2[j] = Math.tanh(sum);
      d2[j] = 1 - h2[j] * h2[j];
    }
  }

  /** @type {import("./landscapes.js").Landscape["energy"]} */
  energy(x, y) {
    this.run(x, y);
    let sum = this.b3[0] + 0.5 * this.bowl * (x * x + y * y);
    for (let j = 0; j < this.width; j++) sum += this.w3[j] * this.h2[j];
    return sum;
  }

  /** @type {import("./landscapes.js").Landscape["slope"]} */
  slope(x, y) {
    this.run(x, y);
    const { width, w1, w2, w3, d1, d2, bowl } = this;
    let [sx, sy] = [bowl * x, bowl * y];
    for (let i = 0; i < width; i++) {
      let sum = 0;
      for (let j = 0; j < width; j++) sum += w2[j * width + i] * w3[j] * d2[j];
      sx += w1[2 * i] * d1[i] * sum;
      sy += w1[2 * i + 1] * d1[i] * sum;
    }
    return [sx, sy];
  }

  /**
   * v·∇E is how the energy changes along v: it is taken forward through the layers (`t…`), and that
   * calculation is then differentiated backward, by its rates (`p…`) and by its values (`q…`).
   * @type {import("./landscapes.js").Landscape["pullBack"]}
   */
  pullBack(x, y, [vx, vy], scale, into) {
    this.run(x, y);
    const { width, w1, w2, w3, h1, h2, d1, d2, bowl } = this;
    const [atB1, atW2, atB2, atW3] = [2 * width, 3 * width, (3 + width) * width, (4 + width) * width];
    const ta1 = new Float64Array(width), th1 = new Float64Array(width);
    const p1 = new Float64Array(width), q1 = new Float64Array(width); // back at the first layer's output
    for (let i = 0; i < width; i++) {
      ta1[i] = w1[2 * i] * vx + w1[2 * i + 1] * vy;
      th1[i] = d1[i] * ta1[i];
    }
    for (let j = 0; j < width; j++) {
      let ta2 = 0;
      for (let i = 0; i < width; i++) ta2 += w2[j * width + i] * th1[i];
      into[atW3 + j] += scale * d2[j] * ta2;
      const p2 = w3[j] * d2[j], q2 = -2 * h2[j] * p2 * ta2;
      into[atB2 + j] += scale * q2;
      for (let i = 0; i < width; i++) {
        into[atW2 + j * width + i] += scale * (p2 * th1[i] + q2 * h1[i]);
        p1[i] += w2[j * width + i] * p2;
        q1[i] += w2[j * width + i] * q2;
      }
    }
    let [hx, hy] = [bowl * vx, bowl * vy];
    for (let i = 0; i < width; i++) {
      const p = d1[i] * p1[i], q = d1[i] * (q1[i] - 2 * h1[i] * ta1[i] * p1[i]);
      into[2 * i] += scale * (p * vx + q * x);
      into[2 * i + 1] += scale * (p * vy + q * y);
      into[atB1 + i] += scale * q;
      hx += q * w1[2 * i];
      hy += q * w1[2 * i + 1];
    }
    return [hx, hy];
  }
}

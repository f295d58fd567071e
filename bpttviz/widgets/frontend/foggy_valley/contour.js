/**
 * Lines of equal height, by marching squares.
 * @param {Float32Array} heights  rows × width, on the corners of squares
 * @param {number} width
 * @param {number} level
 * @param {(x0: number, y0: number, x1: number, y1: number) => void} draw  in squares
 */
export function contour(heights, width, level, draw) {
  const rows = heights.length / width;
  const part = (/** @type {number} */ a, /** @type {number} */ b) => (level - a) / (b - a);
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

/** Basins on a fine raster, and the lines between them, through the exact places of the borders. */

/**
 * @typedef {import("./basins.js").Basins} Basins
 * @typedef {[number, number]} Point  cells: the middle of the lowest left cell is (0, 0); upwards
 *
 * Four neighbouring cell middles as a square, whose borders meet in its middle.
 * @typedef {Object} Crossing
 * @property {Point} meet      where the borders meet: the mean of `edges`
 * @property {Point[]} edges   where they cross the square's edges
 */

/**
 * The basin of the middle of each cell of a raster over the window, row 0 on top.
 * @param {Basins} basins
 * @param {number} width
 * @param {number} height
 */
export function basinsOn(basins, width, height) {
  const { columns, rows, ids } = basins, fine = new Uint8Array(width * height);
  for (let row = 0, at = 0; row < height; row++) {
    const v = rows * (1 - (row + 0.5) / height) - 0.5, r = Math.floor(v);
    for (let col = 0; col < width; col++, at++) {
      const u = (columns * (col + 0.5)) / width - 0.5, c = Math.floor(u);
      const corners = cornersOf(basins, c, r);
      const same = corners.every((k) => ids[k] === ids[corners[0]]);
      fine[at] = ids[same ? corners[0] : corners[cornerOf(basins, c, r, u, v)]];
    }
  }
  return fine;
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {HTMLCanvasElement} canvas
 * @param {Basins} basins
 * @param {string} colour
 */
export function drawBorders(context, canvas, basins, colour) {
  const { columns, rows, ids } = basins;
  const x = (/** @type {number} */ u) => ((u + 0.5) / columns) * canvas.width;
  const y = (/** @type {number} */ v) => (1 - (v + 0.5) / rows) * canvas.height;
  context.strokeStyle = colour;
  context.globalAlpha = 0.75;
  context.lineWidth = Math.max(canvas.width / 330, 1);
  context.lineCap = context.lineJoin = "round";
  context.beginPath();
  for (let r = -1; r < rows; r++) {
    for (let c = -1; c < columns; c++) {
      const corners = cornersOf(basins, c, r);
      if (corners.every((k) => ids[k] === ids[corners[0]])) continue;
      const { meet, edges } = crossingOf(basins, c, r);
      for (const edge of edges) {
        context.moveTo(x(edge[0]), y(edge[1]));
        context.lineTo(x(meet[0]), y(meet[1]));
      }
    }
  }
  context.stroke();
  context.globalAlpha = 1;
}

/**
 * The cells at a square's corners: lower left, lower right, upper left, upper right. Beyond the
 * window's edge it goes on as at the edge.
 * @param {Basins} basins
 * @param {number} c
 * @param {number} r
 */
function cornersOf({ columns, rows }, c, r) {
  const left = Math.max(c, 0), right = Math.min(c + 1, columns - 1);
  const low = Math.max(r, 0) * columns, high = Math.min(r + 1, rows - 1) * columns;
  return [low + left, low + right, high + left, high + right];
}

/**
 * @param {Basins} basins
 * @param {number} c
 * @param {number} r
 * @returns {Crossing}
 */
function crossingOf(basins, c, r) {
  const { across, up } = basins, [low, right, high] = cornersOf(basins, c, r);
  /** @type {Point[]} */
  const edges = [];
  if (low !== right) { // not beyond the window's left or right edge
    if (across.has(low)) edges.push([c + across.get(low), r]);
    if (across.has(high)) edges.push([c + across.get(high), r + 1]);
  }
  if (low !== high) {
    if (up.has(low)) edges.push([c, r + up.get(low)]);
    if (up.has(right)) edges.push([c + 1, r + up.get(right)]);
  }
  const mean = (/** @type {0 | 1} */ k) => edges.reduce((sum, edge) => sum + edge[k], 0) / edges.length;
  return { meet: [mean(0), mean(1)], edges };
}

/**
 * Which corner of its square a point belongs to: the one between the same two borders, as seen from
 * where they meet.
 * @param {Basins} basins
 * @param {number} c
 * @param {number} r
 * @param {number} u
 * @param {number} v
 */
function cornerOf(basins, c, r, u, v) {
  const { meet, edges } = crossingOf(basins, c, r);
  const angle = (/** @type {number} */ x, /** @type {number} */ y) => Math.atan2(y - meet[1], x - meet[0]);
  const borders = edges.map(([x, y]) => angle(x, y)).sort((a, b) => a - b);
  const sector = (/** @type {number} */ a) => borders.filter((border) => border < a).length % borders.length;
  const mine = sector(angle(u, v));
  const corner = [[c, r], [c + 1, r], [c, r + 1], [c + 1, r + 1]].findIndex(([x, y]) => sector(angle(x, y)) === mine);
  return Math.max(corner, 0);
}

/**
 * Which resting place short steps downhill lead to, from everywhere on a surface, and where exactly
 * the borders run. As `basins_of_attraction` in Python, on the spline.
 *
 * @typedef {import("./surface.js").SplineSurface} SplineSurface
 * @typedef {[number, number]} Place  Å
 *
 * @typedef {Object} Basins
 * @property {Uint8Array} ids   rows × columns over the window, the lowest row first: whose each cell
 *     is, judged at its middle
 * @property {number} columns
 * @property {number} rows
 * @property {(Place | null)[]} minima  by id
 * @property {Map<number, number>} across  cell → how far (0 to 1) towards its right neighbour's
 *     middle the border lies, where there is one
 * @property {Map<number, number>} up      the same towards the neighbour above
 */

export const NOWHERE = 255;
const COLUMNS = 48;
const STEP = 0.04, LONGEST = 0.05; // Å²/eV, Å
const MOST_STEPS = 500;
const AT_REST = 0.02;  // eV/Å
const APART = 0.1;     // Å: two resting places nearer than that are one
const HALVINGS = 5;    // of the way between two cells, to find a border

/**
 * @param {SplineSurface} surface
 * @returns {Basins}
 */
export function drain(surface) {
  const [x0, x1, y0, y1] = surface.window, columns = COLUMNS;
  const rows = Math.max(2, Math.round((columns * (y1 - y0)) / (x1 - x0)));
  const middle = (/** @type {number} */ col, /** @type {number} */ row) => /** @type {Place} */ (
    [x0 + ((col + 0.5) / columns) * (x1 - x0), y0 + ((row + 0.5) / rows) * (y1 - y0)]);
  const ends = Array.from({ length: columns * rows }, (_, k) => rest(surface, middle(k % columns, Math.floor(k / columns))));
  const minima = numbered(surface, distinct(ends), surface.minima);
  const idOf = (/** @type {Rest | null} */ end) => nearest(end, minima);
  const ids = Uint8Array.from(ends, idOf);
  const across = new Map(), up = new Map();
  const border = (/** @type {number} */ a, /** @type {number} */ b, /** @type {Place} */ from, /** @type {Place} */ to) => {
    let low = 0, high = 1;
    for (let k = 0; k < HALVINGS; k++) {
      const part = (low + high) / 2;
      const id = idOf(rest(surface, [from[0] + part * (to[0] - from[0]), from[1] + part * (to[1] - from[1])]));
      if (id === ids[a]) low = part;
      else high = part;
    }
    return (low + high) / 2;
  };
  for (let k = 0; k < ids.length; k++) {
    const col = k % columns, row = Math.floor(k / columns), here = middle(col, row);
    if (col + 1 < columns && ids[k] !== ids[k + 1]) across.set(k, border(k, k + 1, here, middle(col + 1, row)));
    if (row + 1 < rows && ids[k] !== ids[k + columns]) up.set(k, border(k, k + columns, here, middle(col, row + 1)));
  }
  return { ids, columns, rows, minima, across, up };
}

/** @typedef {{x: number, y: number, slope: number}} Rest  where a descent ends, and how steep it is there */

/**
 * Short steps downhill, to where it is flat; null off the map, or where that does not come.
 * @param {SplineSurface} surface
 * @param {Place} place
 * @returns {Rest | null}
 */
function rest(surface, [x, y]) {
  const slope = [0, 0];
  for (let k = 0; k < MOST_STEPS; k++) {
    if (!surface.slopeAt(x, y, slope)) return null;
    const steep = Math.hypot(slope[0], slope[1]);
    if (steep < AT_REST && isValley(surface, x, y)) return { x, y, slope: steep };
    const size = Math.min(STEP, LONGEST / steep);
    x -= size * slope[0];
    y -= size * slope[1];
  }
  return null;
}

/**
 * Whether all curvatures are positive: it is flat on a saddle too.
 * @param {SplineSurface} surface
 * @param {number} x
 * @param {number} y
 */
function isValley(surface, x, y) {
  const { xx, xy, yy } = surface.at(x, y);
  return xx > 0 && xx * yy > xy * xy;
}

/**
 * The resting places among ends: the flattest stand for those around them.
 * @param {(Rest | null)[]} ends
 */
function distinct(ends) {
  /** @type {Rest[]} */
  const found = [];
  for (const end of ends.filter((one) => one !== null).sort((a, b) => a.slope - b.slope)) {
    if (found.every((one) => Math.hypot(end.x - one.x, end.y - one.y) >= APART)) found.push(end);
  }
  return found;
}

/**
 * Resting places by number: that of the earlier one that each came from, or the next free, the
 * deepest first.
 * @param {SplineSurface} surface
 * @param {Rest[]} found
 * @param {(Place | null)[]} earlier
 */
function numbered(surface, found, earlier) {
  const deepest = found.map(({ x, y }) => ({ x, y, energy: surface.at(x, y).energy, number: -1 }))
    .sort((a, b) => a.energy - b.energy);
  const pairs = deepest.flatMap((one) => earlier.flatMap((place, number) =>
    (place ? [{ one, number, apart: Math.hypot(one.x - place[0], one.y - place[1]) }] : [])));
  const taken = new Set();
  for (const { one, number, apart } of pairs.sort((a, b) => a.apart - b.apart)) {
    if (one.number >= 0 || taken.has(number) || apart >= 5 * APART) continue;
    one.number = number;
    taken.add(number);
  }
  let next = 0;
  for (const one of deepest.filter(({ number }) => number < 0)) {
    while (taken.has(next)) next++;
    one.number = next;
    taken.add(next);
  }
  /** @type {(Place | null)[]} */
  const minima = Array(Math.max(earlier.length, ...deepest.map(({ number }) => number + 1))).fill(null);
  for (const { x, y, number } of deepest) minima[number] = [x, y];
  return minima;
}

/**
 * @param {Rest | null} end
 * @param {(Place | null)[]} minima
 */
function nearest(end, minima) {
  let best = NOWHERE, least = 2 * APART; // a soft valley's ends lie around its resting place
  if (end) {
    minima.forEach((place, id) => {
      const apart = place ? Math.hypot(end.x - place[0], end.y - place[1]) : Infinity;
      if (apart < least) [best, least] = [id, apart];
    });
  }
  return best;
}

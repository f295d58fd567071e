/** The ground of a landscape, painted once for each surface: height, basins and contour lines. */
import { rgb } from "../shared/colour.js";
import { contour } from "./contour.js";

const CELLS = 280;     // of the raster, across
const LEVELS = 11;
const STEEP = 0.3;     // weight of light from the upper left in the shading
const TINT = 0.3;      // weight of a basin's colour
const NOBODY = 255;    // in a basin map

/**
 * Contour levels above the lowest place, eV: close together where walkers rest.
 * @param {number} highest
 */
export function levelsUpTo(highest) {
  return Array.from({ length: LEVELS - 1 }, (_, k) => highest * ((k + 1) / (LEVELS - 1)) ** 2);
}

/**
 * @typedef {Object} Look
 * @property {string} low      colour of the lowest places, "#rrggbb"
 * @property {string} high     and of those at `highest` and above
 * @property {string} line     colour of contour lines and of borders between basins
 * @property {string[]} tints  one a basin
 * @property {number} highest  eV above the lowest place
 * @property {boolean} basins  whether to tint them
 */

/**
 * Paint the ground.
 * @param {HTMLCanvasElement} canvas
 * @param {import("./surface.js").SplineSurface} surface
 * @param {Look} look
 */
export function paintGround(canvas, surface, look) {
  const [x0, x1, y0, y1] = surface.window;
  const width = CELLS, height = Math.round((CELLS * (y1 - y0)) / (x1 - x0));
  const { energy, ex, ey } = surface.raster(width, height);
  const basins = look.basins ? smoothBasins(surface, width, height) : null;
  const image = new ImageData(width, height);
  const [low, high, line] = [look.low, look.high, look.line].map(rgb);
  const tints = look.tints.map(rgb);
  for (let at = 0; at < energy.length; at++) {
    const part = Math.sqrt(Math.min(Math.max((energy[at] - surface.lowest) / look.highest, 0), 1));
    const light = (STEEP * 0.5 * (ey[at] - ex[at])) / Math.hypot(1, ex[at], ey[at]);
    const id = basins ? basins[at] : NOBODY;
    const border = basins && isBorder(basins, at, width);
    for (let k = 0; k < 3; k++) {
      let value = low[k] + part * (high[k] - low[k]);
      if (id !== NOBODY) value += TINT * (tints[id % tints.length][k] - value);
      value *= 1 - light;
      if (border) value += 0.65 * (line[k] - value);
      image.data[4 * at + k] = value;
    }
    image.data[4 * at + 3] = 255;
  }
  const small = new OffscreenCanvas(width, height);
  small.getContext("2d").putImageData(image, 0, 0);
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
  drawContours(context, canvas, { energy, width, height }, surface.lowest, look);
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {HTMLCanvasElement} canvas
 * @param {{energy: Float32Array, width: number, height: number}} raster
 * @param {number} lowest  eV
 * @param {Look} look
 */
function drawContours(context, canvas, { energy, width, height }, lowest, look) {
  const [sx, sy] = [canvas.width / width, canvas.height / height];
  context.strokeStyle = look.line;
  context.globalAlpha = 0.45;
  context.lineWidth = canvas.width / 900;
  context.beginPath();
  for (const level of levelsUpTo(look.highest)) {
    contour(energy, width, lowest + level, (xa, ya, xb, yb) => {
      context.moveTo((xa + 0.5) * sx, (ya + 0.5) * sy);
      context.lineTo((xb + 0.5) * sx, (yb + 0.5) * sy);
    });
  }
  context.stroke();
  context.globalAlpha = 1;
}

/**
 * The coarse basin map on a finer raster: each place goes to whom its surroundings go.
 * @param {{basins: Uint8Array, basinColumns: number}} map
 * @param {number} width
 * @param {number} height
 */
export function smoothBasins({ basins, basinColumns }, width, height) {
  const rows = basins.length / basinColumns, fine = new Uint8Array(width * height);
  const columns = voters(width, basinColumns), lines = voters(height, rows);
  const votes = new Float64Array(NOBODY + 1);
  const ids = [...new Set(basins)].filter((id) => id !== NOBODY);
  for (let row = 0; row < height; row++) {
    const up = lines[height - 1 - row]; // the map's lowest row comes first
    for (let col = 0; col < width; col++) {
      const across = columns[col];
      for (const id of ids) votes[id] = 0;
      votes[NOBODY] = 0;
      for (let b = 0; b < 4; b++) {
        for (let a = 0; a < 4; a++) {
          votes[basins[up.cells[b] * basinColumns + across.cells[a]]] += up.shares[b] * across.shares[a];
        }
      }
      let best = NOBODY;
      for (const id of ids) {
        if (votes[id] > votes[best] + 1e-9) best = id; // of equals the first: rounding decides nothing
      }
      fine[row * width + col] = best;
    }
  }
  return fine;
}

/**
 * The four cells around each of `count` places, and their shares (those of a cubic spline).
 * @param {number} count
 * @param {number} cells
 */
function voters(count, cells) {
  return Array.from({ length: count }, (_, k) => {
    const place = (cells * (k + 0.5)) / count - 0.5, first = Math.floor(place), t = place - first;
    return {
      cells: [-1, 0, 1, 2].map((shift) => Math.min(Math.max(first + shift, 0), cells - 1)),
      shares: [(1 - t) ** 3, 4 - 6 * t * t + 3 * t ** 3, 1 + 3 * t + 3 * t * t - 3 * t ** 3, t ** 3]
        .map((share) => share / 6),
    };
  });
}

/**
 * @param {Uint8Array} basins
 * @param {number} at
 * @param {number} width
 */
function isBorder(basins, at, width) {
  const right = (at + 1) % width ? basins[at + 1] : basins[at];
  const below = at + width < basins.length ? basins[at + width] : basins[at];
  return right !== basins[at] || below !== basins[at];
}

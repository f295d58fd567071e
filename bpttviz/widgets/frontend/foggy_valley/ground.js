/** The ground of a landscape, painted once for each surface: height, basins and contour lines. */
import { rgb } from "../shared/colour.js";
import { NOWHERE } from "./basins.js";
import { basinsOn, drawBorders } from "./borders.js";
import { contour } from "./contour.js";

const CELLS = 280;     // of the raster, across
const LEVELS = 11;
const STEEP = 0.3;     // weight of light from the upper left in the shading
const TINT = 0.3;      // weight of a basin's colour

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
  const basins = look.basins ? basinsOn(surface.basins, width, height) : null;
  const image = new ImageData(width, height);
  const [low, high] = [look.low, look.high].map(rgb);
  const tints = look.tints.map(rgb);
  for (let at = 0; at < energy.length; at++) {
    const part = Math.sqrt(Math.min(Math.max((energy[at] - surface.lowest) / look.highest, 0), 1));
    const light = (STEEP * 0.5 * (ey[at] - ex[at])) / Math.hypot(1, ex[at], ey[at]);
    const id = basins ? basins[at] : NOWHERE;
    for (let k = 0; k < 3; k++) {
      let value = low[k] + part * (high[k] - low[k]);
      if (id !== NOWHERE) value += TINT * (tints[id % tints.length][k] - value);
      value *= 1 - light;
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
  if (look.basins) drawBorders(context, canvas, surface.basins, look.line);
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

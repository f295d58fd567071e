/** Colours as numbers. */

/**
 * @typedef {[number, number, number]} RGB  each 0 to 255
 */

/**
 * @param {string} hex  "#rrggbb"
 * @returns {RGB}
 */
export function rgb(hex) {
  return [channel(hex, 1), channel(hex, 3), channel(hex, 5)];
}

/** @type {(hex: string, at: number) => number} */
const channel = (hex, at) => parseInt(hex.slice(at, at + 2), 16);

/**
 * A colour on the straight way from one to another.
 * @param {RGB} from
 * @param {RGB} to
 * @param {number} part  0 to 1
 * @returns {RGB}
 */
export function mix(from, to, part) {
  const between = (/** @type {number} */ k) => from[k] + part * (to[k] - from[k]);
  return [between(0), between(1), between(2)];
}

/**
 * The colour at `part` (0 to 1) of a scale of evenly spaced colours.
 * @param {string[]} scale  "#rrggbb"
 * @param {number} part
 */
export function colourAt(scale, part) {
  const place = Math.min(Math.max(part, 0), 1) * (scale.length - 1);
  const lower = Math.min(Math.floor(place), scale.length - 2);
  return mix(rgb(scale[lower]), rgb(scale[lower + 1]), place - lower);
}

/**
 * For a stylesheet or a canvas.
 * @param {RGB} colour
 * @param {number} [alpha]
 */
export function css(colour, alpha = 1) {
  return `rgba(${colour.map(Math.round).join(",")},${alpha})`;
}

/**
 * Black or white, whichever is easier to read on a colour: one of them has a contrast of 4.5 to any.
 * Luminance and contrast are those of WCAG 2.
 * @param {RGB} colour
 */
export function inkOn(colour) {
  const [r, g, b] = colour.map((part) => {
    const share = part / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  const luminance = 0.2126 * r + 0.7152 * g + 0.0722 * b;
  return (luminance + 0.05) ** 2 > 1.05 * 0.05 ? "#000" : "#fff";
}

/**
 * What is shown in an error plane, and where: everything arrives worked out, only pixels are
 * computed here.
 *
 * @typedef {[number, number]} Point  (force error in eV/Å, endpoint error in amu^½ Å)
 * @typedef {{name: string, points: Point[], meaning: string, words: string}} Arrow
 * @typedef {{colour: string, dashed: boolean}} Look
 *
 * @typedef {Object} Stage  a layer whose arrows go no further than to one of its potentials
 * @property {string} better     in words: how many ends got better
 * @property {Arrow[]} arrows
 * @property {Object<string, number>} counts  arrows by meaning
 *
 * @typedef {Object} Layer
 * @property {string} title
 * @property {string} colour     of its arrows, where several layers are shown
 * @property {boolean} filled    whether its heads are, then
 * @property {string[]} potentials            [before, ..., after]
 * @property {Stage[]} stages                 one a potential after, the last of which is "after"
 * @property {Point[] | null} mean            at each potential
 * @property {number[][][] | null} interval   at each potential × [force, endpoint] × (low, high)
 *
 * @typedef {Layer & Stage & {whole: Stage}} ShownLayer  cut where its arrows end; `whole` is not
 *
 * @typedef {Object} Data
 * @property {string} words        the whole picture in words
 * @property {string} before       name of the potential that all layers start from
 * @property {[string, string]} paradox  what its quarter means: "endpoint better", "forces worse"
 * @property {string[]} notes      what could not be drawn, and why
 * @property {string[]} structures those that have an arrow
 * @property {Layer[]} layers
 * @property {Object<string, Look>} looks     of arrows, by meaning, where one layer is shown
 * @property {[Point, Point]} limits          [force, endpoint] × (low, high)
 * @property {[number[], number[]]} ticks     [force, endpoint]
 * @property {Point | null} mean              before
 * @property {number | null} noise_floor
 * @property {boolean} intervals   whether means have any
 * @property {Object<string, import("./thumbnail.js").Still>} thumbnails  by structure
 */

export const PLANE_WIDTH = 720, PLANE_HEIGHT = 470;
/** Pixels for a mean in a margin. */
export const ROW = 11;

/**
 * The plot's edges, and those within which its data lie: between them there is a row for the mean
 * before, and one for each layer, where means have intervals.
 * @param {Data} data
 */
export function frameOf({ intervals, layers }) {
  const rows = intervals ? 10 + ROW * (layers.length + 1) : 0;
  const [right, top] = [PLANE_WIDTH - 14, 34];
  return { left: 76, right, top, bottom: PLANE_HEIGHT - 52, innerRight: right - rows, innerTop: top + rows };
}

/**
 * A layer as it is when its arrows go no further than to its potential number `stage` (from 1).
 * @param {Layer} layer
 * @param {number} stage
 * @returns {ShownLayer}
 */
export function until(layer, stage) {
  const last = Math.min(stage, layer.stages.length);
  return {
    ...layer, ...layer.stages[last - 1], whole: layer.stages[layer.stages.length - 1],
    potentials: layer.potentials.slice(0, last + 1),
    mean: layer.mean && layer.mean.slice(0, last + 1),
    interval: layer.interval && layer.interval.slice(0, last + 1),
  };
}

/**
 * Functions from errors to pixels, on logarithmic axes.
 * @typedef {Object} Scale
 * @property {(force: number) => number} x
 * @property {(endpoint: number) => number} y
 * @property {(point: Point) => Point} at
 */

/**
 * @param {Data} data
 * @returns {Scale}
 */
export function scalesOf(data) {
  const [[x0, x1], [y0, y1]] = data.limits;
  const { left, innerRight: right, innerTop: top, bottom } = frameOf(data);
  /** @type {(value: number, low: number, high: number) => number} */
  const part = (value, low, high) => Math.log(value / low) / Math.log(high / low);
  /** @type {Scale["x"]} */
  const x = (value) => left + part(value, x0, x1) * (right - left);
  /** @type {Scale["y"]} */
  const y = (value) => bottom - part(value, y0, y1) * (bottom - top);
  return { x, y, at: ([force, endpoint]) => [x(force), y(endpoint)] };
}

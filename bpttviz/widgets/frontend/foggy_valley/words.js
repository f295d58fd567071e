/** What is seen of a walk, in words. */
import { curvatures, verdict } from "./walk.js";

/**
 * A place in words.
 * @param {number[]} place
 */
export const placed = ([x, y]) => `(${x.toFixed(2)}, ${y.toFixed(2)})`;

/**
 * A number with three digits, without an exponent where it can be read without.
 * @param {number} value
 */
export function brief(value) {
  if (value === 0 || !Number.isFinite(value)) return String(value);
  return Math.abs(value) >= 1e-3 && Math.abs(value) < 1e4
    ? String(Number(value.toPrecision(3))) : value.toExponential(0);
}

/**
 * The end, the map there, and the gradient.
 * @param {import("./walk.js").Walk} walk
 * @param {import("./walk.js").WayBack | null} back
 * @param {number} eta  Å²/eV
 * @param {import("./walk.js").Limits} limits
 * @returns {{end: string, map: string, back: string}}
 */
export function wordsOf(walk, back, eta, limits) {
  if (walk.lost || !back) {
    return {
      end: `Lost: step ${walk.made} leaves the map. Nobody here knows where that walk goes.`,
      map: "A shorter step would stay.",
      back: "No end, no gradient.",
    };
  }
  const { made } = walk, last = back.size[made];
  const [soft, stiff] = curvatures(walk.hessians[made]);
  const factors = [1 - eta * soft, 1 - eta * stiff];
  const still = walk.force < 0.01 ? "at rest" : `still pulled by ${brief(walk.force)} eV/Å`;
  return {
    end: `After ${made} steps: ${placed([walk.x[made], walk.y[made]])} Å, ` +
      `${back.distance.toFixed(2)} Å from the star, ${still}.`,
    map: `1 - ηλ there: ${factors[0].toFixed(2)} and ${factors[1].toFixed(2)}: ${fateOf(soft, stiff, eta)}.`,
    back: last === 0 ? "The walk ends at the star: nothing to learn."
      : `Back at the start the gradient is ${brief(back.size[0] / last)} times what it is at the end: ` +
        `${gradientOf(back.size, factors, limits)}.`,
  };
}

/**
 * What the map does around the end.
 * @param {number} soft   eV/Å², the smaller curvature
 * @param {number} stiff  the larger one
 * @param {number} eta
 */
function fateOf(soft, stiff, eta) {
  if (soft < 0) return "not in a valley: one curvature is negative, small differences grow here";
  if (eta * stiff > 2) return `too long a step: it jumps across the valley, further each time (beyond ${brief(2 / stiff)})`;
  if (eta * stiff > 1) return "overshoots: it lands on the other side of the valley, nearer each time";
  return "creeps down without overshooting";
}

/**
 * What became of the gradient. Where it shrank or stayed, and the end's map alone would make it
 * grow, that is said of the map: the gradient itself has not exploded.
 * @param {Float64Array} size
 * @param {number[]} factors  1 - ηλ
 * @param {import("./walk.js").Limits} limits
 */
function gradientOf(size, factors, limits) {
  const measured = verdict(size, 0, limits);
  const judged = verdict(size, Math.max(...factors.map(Math.abs)), limits);
  if (judged === measured) return judged;
  return factors[0] > 1 ? `${measured}, but curved away: near a saddle, more steps would let it grow`
    : `${measured}, but the step is too long here: more steps would let it grow`;
}

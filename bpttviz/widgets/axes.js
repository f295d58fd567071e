/** Axes of small panels: their size, scales with readable ticks, curves as SVG path data. */

export const WIDTH = 260, HEIGHT = 132;
export const FRAME = { left: 40, right: 8, top: 22, bottom: 20 };

/**
 * A scale from values to pixels.
 * @param {number[]} values  finite ones, all of which shall be seen
 * @param {{logarithmic?: boolean, fromZero?: boolean}} kind
 * @returns {{y: (value: number) => number, ticks: number[]}}
 */
export function scaleOf(values, { logarithmic = false, fromZero = false }) {
  const log = logarithmic && values.length > 0 && values.every((value) => value > 0);
  const inner = log ? Math.log10 : (value) => value;
  let low = Math.min(...values), high = Math.max(...values);
  if (!values.length) [low, high] = [0, 1];
  if (fromZero) low = Math.min(low, 0);
  let [from, to] = [inner(low), inner(high)];
  const margin = to > from ? 0.05 * (to - from) : 0.5 * (Math.abs(to) || 1);
  if (!fromZero) from -= margin;
  to += margin;
  const span = HEIGHT - FRAME.top - FRAME.bottom;
  const y = (value) => HEIGHT - FRAME.bottom - ((inner(value) - from) / (to - from)) * span;
  return { y, ticks: log ? decades(from, to) : evenTicks(from, to) };
}

/** Two to five readable places between two ends. */
function evenTicks(from, to) {
  const rough = (to - from) / 4;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = unit * [1, 2, 5, 10].find((factor) => factor * unit >= rough);
  const ticks = [];
  for (let k = Math.ceil(from / step); k * step <= to; k++) ticks.push(Number((k * step).toPrecision(6)));
  return ticks;
}

/** Places on a logarithmic axis between two exponents; even ones where it is short. */
function decades(from, to) {
  const all = [];
  for (let power = Math.floor(from); power <= to; power++) {
    for (const factor of [1, 2, 5]) all.push(Number((factor * 10 ** power).toPrecision(3)));
  }
  const inside = all.filter((value) => Math.log10(value) >= from && Math.log10(value) <= to);
  const powers = inside.filter((value) => Number.isInteger(Math.round(1e6 * Math.log10(value)) / 1e6));
  if (powers.length >= 2) return powers;
  return inside.length >= 2 ? inside.slice(0, 4) : evenTicks(10 ** from, 10 ** to);
}

/** One curve as SVG path data; a gap where a value is missing. */
export function pathData(values, x, y) {
  let pen = "M";
  return values.map((value, step) => {
    if (value === null) {
      pen = "M";
      return "";
    }
    const command = `${pen}${x(step).toFixed(1)} ${y(value).toFixed(1)}`;
    pen = "L";
    return command;
  }).join("");
}

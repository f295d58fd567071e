/**
 * Energy, largest force and ΔQ against the step, with markers that follow the clock.
 *
 * The curves are SVG, drawn once. The markers lie above them as elements of their own, each a layer
 * that a browser moves without painting anything: where it must paint in software, moving them
 * inside the SVG cost more time than two panes of atoms.
 */

const WIDTH = 260, HEIGHT = 132;
const FRAME = { left: 40, right: 8, top: 22, bottom: 20 };

/** What is drawn, from left to right. */
const QUANTITIES = [
  { key: "energy", title: "energy since start / eV", unit: "eV" },
  { key: "fmax", title: "largest force / eV/Å", unit: "eV/Å", logarithmic: true },
  { key: "deltaQ", title: "ΔQ to the reference / amu½ Å", unit: "amu^½ Å", fromZero: true },
];

/**
 * An SVG element.
 * @param {string} tag
 * @param {Object<string, string | number>} attributes
 * @param {(Node | string)[]} children
 */
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/**
 * A scale from values to pixels.
 * @param {number[]} values  finite ones, all of which shall be seen
 * @param {{logarithmic?: boolean, fromZero?: boolean}} kind
 * @returns {{y: (value: number) => number, ticks: number[]}}
 */
export function scaleOf(values, { logarithmic = false, fromZero = false }) {
  const log = logarithmic && values.every((value) => value > 0);
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

export class Curves {
  /**
   * @param {HTMLElement} el      where to draw
   * @param {(step: number) => void} onStep  a place on a curve was chosen
   */
  constructor(el, onStep) {
    this.el = el;
    this.onStep = onStep;
    this.resized = new ResizeObserver(() => this.clip && this.show(this.step));
  }

  destroy() {
    this.resized.disconnect();
  }

  /** @param {import("./clip.js").Clip} clip */
  load(clip) {
    this.clip = clip;
    this.movers = [];
    this.x = (step) => FRAME.left + (step / Math.max(clip.steps, 1)) * (WIDTH - FRAME.left - FRAME.right);
    this.el.replaceChildren(...QUANTITIES.map((quantity) => this.panel(quantity)));
    this.resized.disconnect();
    this.resized.observe(this.el);
    this.show(0);
  }

  /** Move the markers to `step`. */
  show(step) {
    this.step = step;
    const pixels = this.movers[0].panel.clientWidth / WIDTH;
    const move = (element, x, y) => {
      element.style.transform = `translate(${(pixels * x).toFixed(1)}px,${(pixels * y).toFixed(1)}px)`;
    };
    for (const { now, marks, y } of this.movers) {
      move(now, this.x(step), FRAME.top);
      now.style.height = `${pixels * (HEIGHT - FRAME.top - FRAME.bottom)}px`;
      for (const { mark, path, values } of marks) {
        const held = path.held(step), value = values[held] ?? null;
        mark.hidden = value === null;
        if (value !== null) move(mark, this.x(held), y(value));
      }
    }
  }

  panel({ key, title, unit, ...kind }) {
    const { clip, x } = this;
    const isEnd = key === "deltaQ";
    const levels = isEnd ? clip.paths.map((path) => path.deltaQAtRest).filter((v) => v !== null) : [];
    const finite = clip.paths.flatMap((path) => path[key]).filter((value) => value !== null);
    const { y, ticks } = scaleOf([...finite, ...levels], kind);
    const bottom = HEIGHT - FRAME.bottom, right = WIDTH - FRAME.right;
    const words = clip.paths.map((path) => describe(path, key, unit)).join("; ");
    const picture = svg("svg", {
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${title}. ${words}.`,
      "data-quantity": key,
    });
    picture.append(svg("text", { class: "title", x: 4, y: 13 }, title));
    if (isEnd && clip.noiseFloor) {
      const level = Math.max(y(clip.noiseFloor), FRAME.top);
      picture.append(svg("rect", { class: "noise", x: FRAME.left, width: right - FRAME.left,
                                   y: level, height: bottom - level }));
    }
    for (const value of ticks) {
      picture.append(
        svg("line", { class: "grid", x1: FRAME.left, x2: right, y1: y(value), y2: y(value) }),
        svg("text", { class: "tick", x: FRAME.left - 4, y: y(value) + 3.5, "text-anchor": "end" },
            String(value)),
      );
    }
    picture.append(
      svg("path", { class: "axis", d: `M${FRAME.left} ${FRAME.top}V${bottom}H${right}` }),
      svg("text", { class: "tick", x: FRAME.left, y: bottom + 13, "text-anchor": "middle" }, "0"),
      svg("text", { class: "tick", x: (FRAME.left + right) / 2, y: bottom + 13,
                    "text-anchor": "middle" }, "step"),
      svg("text", { class: "tick", x: right, y: bottom + 13, "text-anchor": "end" },
          String(clip.steps)),
    );
    clip.paths.forEach((path, index) => {
      const style = `--colour:${path.colour}`;
      const level = isEnd ? path.deltaQAtRest : null;
      if (level !== null) {
        picture.append(svg("line", { class: "rest", style, x1: FRAME.left, x2: right,
                                     y1: y(level), y2: y(level) }));
      }
      picture.append(svg("path", { class: index ? "curve dashed" : "curve", style,
                                   d: pathData(path[key], x, y) }));
    });
    const panel = layer("panel");
    const now = layer("now");
    const marks = clip.paths.map((path, index) => {
      const mark = layer(index ? "mark open" : "mark"); // both are seen where they meet
      mark.style.setProperty("--colour", path.colour);
      return { mark, path, values: path[key] };
    });
    panel.append(picture, now, ...marks.map(({ mark }) => mark));
    this.movers.push({ panel, now, marks, y });
    picture.addEventListener("pointerdown", (event) => {
      picture.setPointerCapture(event.pointerId);
      this.choose(event, picture);
    });
    picture.addEventListener("pointermove", (event) => {
      if (picture.hasPointerCapture(event.pointerId)) this.choose(event, picture);
    });
    return panel;
  }

  choose(event, picture) {
    const box = picture.getBoundingClientRect();
    const at = ((event.clientX - box.left) / box.width) * WIDTH;
    const part = (at - FRAME.left) / (WIDTH - FRAME.left - FRAME.right);
    this.onStep(Math.round(Math.min(Math.max(part, 0), 1) * this.clip.steps));
  }
}

function layer(name) {
  const element = document.createElement("div");
  element.className = name;
  return element;
}

function describe(path, key, unit) {
  const known = path[key].filter((value) => value !== null);
  if (!known.length) return `${path.potential}: not known`;
  const rest = key === "deltaQ" && path.deltaQAtRest !== null
    ? `, ${path.deltaQAtRest.toPrecision(3)} at rest` : "";
  return `${path.potential} from ${known[0].toPrecision(3)} to ` +
    `${known[known.length - 1].toPrecision(3)} ${unit}${rest}`;
}

/**
 * Energy, largest force and ΔQ against the step, with markers that follow the clock.
 *
 * The curves are SVG, drawn once. The markers lie above them as elements of their own, each a layer
 * that a browser moves without painting anything: where it must paint in software, moving them
 * inside the SVG cost more time than two panes of atoms.
 */

import { svg } from "./elements.js";
import { FRAME, HEIGHT, WIDTH, pathData, scaleOf } from "./axes.js";

/** What is drawn, from left to right. */
const QUANTITIES = [
  { key: "energy", title: "energy since start / eV", unit: "eV" },
  { key: "fmax", title: "largest force / eV/Å", unit: "eV/Å", logarithmic: true },
  { key: "deltaQ", title: "ΔQ to the reference / amu½ Å", unit: "amu^½ Å", fromZero: true },
];

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

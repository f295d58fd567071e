/** ΔQ forward, the gradient's norm back, what each step adds: curves that appear as the clock goes. */
import { PLOT, emptyPanel, pathData, scaleOf } from "../shared/axes.js";
import { svg, tag } from "../shared/dom.js";

export class FlowCharts {
  /** @param {(moment: number) => void} onMoment  a place on a curve was chosen */
  constructor(onMoment) {
    this.onMoment = onMoment;
    this.el = tag("div", { class: "charts" });
  }

  /** @param {import("./flow.js").Flow} flow */
  load(flow) {
    this.flow = flow;
    const { deltaQ } = flow.paths[0];
    this.parts = [
      this.panel("forward", "ΔQ to the reference / amu^½ Å  →", deltaQ, 0),
      this.panel("backward", "←  size of the gradient, |dL/dX| / amu^½", flow.norms, 1),
      this.panel("backward", "←  what each step adds to dL/dθ", flow.contribution, 1),
    ];
    this.el.replaceChildren(...this.parts.map(({ picture }) => picture));
  }

  /** @param {number} step */
  x(step) {
    return PLOT.left + (step / Math.max(this.flow.steps, 1)) * (PLOT.right - PLOT.left);
  }

  /**
   * @param {string} kind
   * @param {string} title
   * @param {(number | null)[]} values
   * @param {0 | 1} way
   */
  panel(kind, title, values, way) {
    const known = values.filter((value) => value !== null);
    const { y, ticks } = scaleOf(known, { fromZero: true });
    const words = `From ${known[0]?.toPrecision(3)} at step 0 to ${known[known.length - 1]?.toPrecision(3)} at step ${values.length - 1}.`;
    const picture = emptyPanel(title, words, ticks, y, ["0", "step", String(this.flow.steps)]);
    picture.classList.add(kind);
    const faint = svg("path", { class: "whole", d: pathData(values, (step) => this.x(step), y) });
    const line = svg("path", { class: "past" });
    const mark = svg("circle", { class: "now", r: 4.5 });
    picture.append(faint, line, mark);
    picture.addEventListener("pointerdown", (event) => {
      const box = picture.getBoundingClientRect();
      const at = ((event.clientX - box.left) / box.width) * picture.viewBox.baseVal.width;
      const part = Math.min(Math.max((at - PLOT.left) / (PLOT.right - PLOT.left), 0), 1);
      const step = Math.round(part * this.flow.steps);
      this.onMoment(way ? this.flow.last - step : step);
    });
    return { picture, line, mark, values, y, way };
  }

  /**
   * @param {number} step
   * @param {number} way
   */
  show(step, way) {
    for (const { line, mark, values, y, way: mine } of this.parts ?? []) {
      const seen = values.map((value, t) => {
        if (mine === 0) return way === 1 || t <= step ? value : null;
        return way === 1 && t >= step ? value : null;
      });
      line.setAttribute("d", pathData(seen, (t) => this.x(t), y));
      const value = mine === way ? values[step] ?? null : null;
      mark.style.display = value === null ? "none" : "";
      if (value !== null) {
        mark.setAttribute("cx", this.x(step).toFixed(1));
        mark.setAttribute("cy", y(value).toFixed(1));
      }
    }
  }
}

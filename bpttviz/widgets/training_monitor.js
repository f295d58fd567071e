/**
 * A training while it goes on: curves, numbers, and a button that starts, stops and resumes it.
 * What is shown arrives worked out in `data`; only pixels are computed here.
 *
 * `render` is for anywidget, `mount` for a page without a kernel.
 *
 * @typedef {[number, number]} Point  (update, value)
 * @typedef {Object} Data
 * @property {string} status
 * @property {string} title
 * @property {string} headline        the status in words
 * @property {[string, string] | null} button   what it asks for, what it says
 * @property {string} words           the whole training in words
 * @property {number} updates         made so far
 * @property {number | null} plan     updates in all, where that is known
 * @property {number} epoch           epochs completed
 * @property {number | null} epochs
 * @property {[number, number] | null} pulse    steps of the update in the making, of the one before
 * @property {number} seconds         spent so far
 * @property {number | null} left     seconds to go
 * @property {number | null} memory   bytes held now
 * @property {number | null} peak     the most so far
 * @property {{label: string, training: Point[], validation: Point[], best: Point | null}} loss
 * @property {Point[]} forces         force error on the validation relaxations, eV/Å
 * @property {Point[]} norm           of the gradient, before clipping
 * @property {number | null} clip
 * @property {Object} gradient
 * @property {[number[], (number | null)[]][]} gradient.ways  steps and relative sizes, latest last
 * @property {string | null} gradient.verdict
 * @property {string} gradient.words
 * @property {number} gradient.faded
 * @property {number} gradient.exploded
 * @property {string[]} notes
 * @property {string | null} error
 * @property {Object<string, string>} colours
 */
import { button, svg, tag } from "./elements.js";
import { FRAME, HEIGHT, WIDTH, pathData, scaleOf } from "./axes.js";

const BOTTOM = HEIGHT - FRAME.bottom, RIGHT = WIDTH - FRAME.right;

class View {
  /**
   * @param {HTMLElement} el
   * @param {(what: string) => void} ask  called with what the button asks for
   */
  constructor(el, ask) {
    this.ask = ask;
    this.button = button("", "", () => this.press());
    this.state = tag("span", { class: "state" });
    this.bar = tag("progress", { "aria-label": "updates made", max: 1, value: 0 });
    this.numbers = tag("p", { class: "numbers" });
    this.panels = tag("div", { class: "panels" });
    this.verdict = tag("p", { class: "verdict" });
    this.notes = tag("div", { class: "notes" });
    this.error = tag("p", { class: "error", role: "alert" });
    this.spoken = tag("p", { class: "spoken", role: "status", "aria-live": "polite" });
    this.title = tag("b", { class: "title" });
    this.el = tag("section", { class: "bpttviz-training", role: "group" },
      tag("div", { class: "head" }, this.button, this.title, this.state), this.bar, this.numbers,
      this.error, this.panels, this.verdict, this.notes, this.spoken);
    // Enter and space press a button as everywhere; the notebook must not see them.
    this.el.addEventListener("keydown", (event) => {
      if (event.target === this.button && (event.key === " " || event.key === "Enter")) event.stopPropagation();
    });
    el.replaceChildren(this.el);
  }

  press() {
    const [what] = this.data.button;
    this.ask(what);
    // The kernel answers within a step; a second press in between would mean nothing.
    this.button.disabled = true;
    this.state.textContent = what === "stop" ? "stopping after this step" : "starting";
  }

  /** @param {Data} data */
  show(data) {
    this.data = this.el.bpttvizData = data; // on the element: for tests and the console
    this.el.dataset.status = data.status;
    this.el.setAttribute("aria-label", `${data.title}: ${data.headline}. ${data.words}`);
    this.title.textContent = data.title;
    this.state.textContent = data.headline;
    this.showButton(data);
    this.showProgress(data);
    const { loss, gradient, colours } = data;
    const last = Math.max(data.plan ?? 0, data.updates, 1);
    const clip = data.clip ? [{ value: data.clip, words: `clipped above ${data.clip}` }] : [];
    this.panels.replaceChildren(
      panel(`loss: ${loss.label.replace("^½", "½")}`, last, [
        { points: loss.training, colour: colours.training, name: "training", dots: true },
        { points: loss.validation, colour: colours.validation, name: "validation", squares: true },
      ], { ring: loss.best }),
      panel("force error, validation / eV/Å", last, [
        { points: data.forces, colour: colours.validation, name: "force error", squares: true },
      ], { empty: "no frames with forces to measure it on" }),
      gradientPanel(gradient, colours.gradient),
      panel("gradient norm", last, [
        { points: data.norm, colour: colours.gradient, name: "norm" },
      ], { logarithmic: true, levels: clip }),
    );
    this.verdict.textContent = gradient.ways.length ? `Gradient by step: ${gradient.words}` : "";
    this.notes.replaceChildren(...data.notes.map((note) => tag("p", {}, note)));
    this.error.textContent = data.error ?? "";
    this.error.hidden = !data.error;
    this.say(data);
  }

  showButton({ button: wanted, status }) {
    this.button.hidden = !wanted && status !== "stopping";
    this.button.disabled = !wanted;
    const [what, words] = wanted ?? ["stop", "■ Stop"];
    this.button.textContent = words;
    this.button.className = what;
    this.button.title = what === "stop" ? "End between two steps; the run is saved and can be resumed"
      : "Train in the background; what the folder holds is gone on with";
    this.button.setAttribute("aria-label", words.slice(2) + " training");
  }

  showProgress(data) {
    const { updates, plan, epoch, epochs, pulse } = data;
    this.bar.hidden = !plan;
    this.bar.max = plan || 1;
    const [done, before] = pulse ?? [0, 0];
    this.bar.value = updates + (before ? Math.min(done / before, 0.99) : 0);
    const parts = [
      plan ? `update ${updates} of ${plan}` : `${updates} updates`,
      epochs ? `epoch ${epoch} of ${epochs}` : `${epoch} epochs`,
      `${duration(data.seconds)} spent`,
    ];
    if (data.left !== null) parts.push(`about ${duration(data.left)} left`);
    if (data.memory) parts.push(`memory ${gigabytes(data.memory)}`);
    if (data.peak) parts.push(`peak ${gigabytes(data.peak)}`);
    if (pulse) parts.push(`step ${done}${before ? ` of about ${before}` : ""} of this update`);
    this.numbers.replaceChildren(...parts.map((part) => tag("span", {}, part)));
  }

  /** Only what a listener wants to be told: a new state, an epoch, not every update. */
  say({ status, headline, epoch, epochs, loss, gradient }) {
    const key = `${status} ${epoch}`;
    if (key === this.said) return;
    this.said = key;
    const value = loss.validation.at(-1)?.[1];
    this.spoken.textContent = [
      `Training: ${headline}`,
      epoch ? `epoch ${epoch}${epochs ? ` of ${epochs}` : ""} done` : "",
      value === undefined ? "" : `validation ${value.toPrecision(3)}`,
      gradient.verdict ? `gradient ${gradient.verdict}` : "",
    ].filter(Boolean).join(", ") + ".";
  }
}

/**
 * Curves against the update.
 * @param {string} title
 * @param {number} last     update at the right edge
 * @param {{points: Point[], colour: string, name: string, dots?: boolean, squares?: boolean}[]} curves
 * @param {{logarithmic?: boolean, ring?: Point | null, empty?: string,
 *          levels?: {value: number, words: string}[]}} options
 */
function panel(title, last, curves, { logarithmic = false, ring = null, levels = [], empty = "" } = {}) {
  const values = curves.flatMap(({ points }) => points.map(([, value]) => value));
  // A logarithmic axis of less than a decade has no ticks that say so.
  const wide = Math.max(...values) > 10 * Math.min(...values);
  const { y, ticks } = scaleOf(values, { logarithmic: logarithmic && wide });
  const x = (update) => FRAME.left + (update / last) * (RIGHT - FRAME.left);
  const words = curves.filter(({ points }) => points.length).map(({ points, name }) =>
    `${name} from ${points[0][1].toPrecision(3)} to ${points.at(-1)[1].toPrecision(3)}`);
  const picture = frame(title, words.join("; ") || "nothing yet", values.length ? ticks : [], y,
    ["0", "update", String(last)]);
  if (!values.length) picture.append(...middle(empty || "nothing yet"));
  for (const { value, words: label } of values.length ? levels : []) {
    if (y(value) < FRAME.top || y(value) > BOTTOM) continue;
    picture.append(
      svg("line", { class: "level", x1: FRAME.left, x2: RIGHT, y1: y(value), y2: y(value) }),
      svg("text", { class: "faint", x: RIGHT, y: y(value) - 3, "text-anchor": "end" }, label));
  }
  curves.forEach(({ points, colour, dots, squares }) => {
    const group = svg("g", { style: `--colour:${colour}` });
    if (!dots) {
      group.append(svg("path", { class: "curve",
        d: pathData(points.map(([, value]) => value), (at) => x(points[at][0]), y) }));
    }
    if (dots) {
      group.append(...points.map(([at, value]) => svg("circle", { class: "dot", cx: x(at), cy: y(value), r: 1.6 })));
    }
    else if (points.length <= 40) {
      group.append(...points.map(([at, value]) => squares
        ? svg("rect", { class: "dot", x: x(at) - 2.2, y: y(value) - 2.2, width: 4.4, height: 4.4 })
        : svg("circle", { class: "dot", cx: x(at), cy: y(value), r: 1.9 })));
    }
    picture.append(group);
  });
  if (ring) picture.append(svg("circle", { class: "ring", cx: x(ring[0]), cy: y(ring[1]), r: 5.5 }));
  if (curves.length > 1 && values.length) picture.append(...legend(curves, ring));
  return picture;
}

/** Names of curves, at the right above the axes. */
function legend(curves, ring) {
  const entries = [...curves.filter(({ points }) => points.length), ...(ring ? [{ name: "best" }] : [])];
  let at = RIGHT;
  return entries.reverse().map(({ name, colour, dots }) => {
    const width = 4.6 * name.length;
    at -= width;
    const mark = !colour ? svg("circle", { class: "ring", cx: at - 6, cy: FRAME.top + 6, r: 3.2 })
      : dots ? svg("circle", { class: "dot", cx: at - 6, cy: FRAME.top + 6, r: 2.2 })
      : svg("rect", { class: "dot", x: at - 9, y: FRAME.top + 3.5, width: 5, height: 5 });
    const entry = svg("g", { style: `--colour:${colour ?? "none"}` }, mark,
      svg("text", { class: "key", x: at, y: FRAME.top + 9.5 }, name));
    at -= 17;
    return entry;
  });
}

/** The gradient's size on its way back, one line an update, the latest in front. */
function gradientPanel({ ways, verdict, words, faded, exploded }, colour) {
  const title = `gradient by step${verdict ? `: ${verdict}` : ""}`;
  const sizes = ways.flatMap(([, relative]) => relative.filter((size) => size > 0));
  // Both bands are always in view: a flat curve is to look flat.
  const { y, ticks } = scaleOf([...sizes, 0.4 * faded, 2.5 * exploded], { logarithmic: true });
  const steps = ways.flatMap(([at]) => at);
  const [low, high] = ways.length ? [Math.min(...steps), Math.max(...steps)] : [0, 1];
  const x = (step) => FRAME.left + ((step - low) / Math.max(high - low, 1)) * (RIGHT - FRAME.left);
  const picture = frame(title, words, ways.length ? ticks : [], y, ways.length
    ? [String(low), "← step, the gradient's way", String(high)] : ["", "step", ""]);
  if (!ways.length) {
    picture.append(...middle("nothing that went through time yet"));
    return picture;
  }
  for (const [edge, top, bottom, word, at] of [
    [faded, y(faded), BOTTOM, "faded", y(faded) + 9],
    [exploded, FRAME.top, y(exploded), "exploded", y(exploded) - 3],
  ]) {
    picture.append(
      svg("rect", { class: "band", "data-edge": edge, x: FRAME.left, width: RIGHT - FRAME.left, y: top,
                    height: Math.max(bottom - top, 0) }),
      svg("text", { class: "faint", x: FRAME.left + 4, y: at }, word));
  }
  ways.forEach(([at, relative], index) => {
    const latest = index === ways.length - 1;
    const group = svg("g", { style: `--colour:${colour}` }, svg("path", {
      class: latest ? "curve" : "curve earlier",
      d: pathData(relative.map((size) => (size > 0 ? size : null)), (place) => x(at[place]), y),
    }));
    if (latest && at.length <= 40) {
      group.append(...at.map((step, place) => [step, relative[place]]).filter(([, size]) => size > 0)
        .map(([step, size]) => svg("circle", { class: "dot", cx: x(step), cy: y(size), r: 2 })));
    }
    picture.append(group);
  });
  return picture;
}

/** An empty panel with axes. */
function frame(title, words, ticks, y, [first, name, final]) {
  const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${title}. ${words}` });
  picture.append(svg("text", { class: "title", x: 4, y: 13 }, title));
  for (const value of ticks) {
    picture.append(
      svg("line", { class: "grid", x1: FRAME.left, x2: RIGHT, y1: y(value), y2: y(value) }),
      svg("text", { class: "tick", x: FRAME.left - 4, y: y(value) + 3.5, "text-anchor": "end" }, String(value)));
  }
  picture.append(svg("path", { class: "axis", d: `M${FRAME.left} ${FRAME.top}V${BOTTOM}H${RIGHT}` }));
  for (const [text, x, anchor] of [[first, FRAME.left, "middle"], [name, (FRAME.left + RIGHT) / 2, "middle"],
                                   [final, RIGHT, "end"]]) {
    picture.append(svg("text", { class: "tick", x, y: BOTTOM + 13, "text-anchor": anchor }, text));
  }
  return picture;
}

/** A sentence in the middle of an empty panel. */
function middle(text) {
  return [svg("text", { class: "faint", x: (FRAME.left + RIGHT) / 2, y: (FRAME.top + BOTTOM) / 2,
                        "text-anchor": "middle" }, text)];
}

/** Seconds as people say them. */
export function duration(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

function gigabytes(bytes) {
  return `${(bytes / 1e9).toFixed(2)} GB`;
}

/**
 * Put a training into a page that has no kernel.
 * @param {HTMLElement} el
 * @param {Data} data
 */
export function mount(el, data) {
  const view = new View(el, () => {});
  view.show(data);
  return view;
}

/** anywidget: shows what its model holds, and passes on what the button asks for. */
export function render({ model, el }) {
  const view = new View(el, (what) => model.send({ do: what }));
  view.el.dataset.model = model.get("name");
  const show = () => view.show(model.get("data"));
  model.on("change:data", show);
  show();
  return () => model.off("change:data", show);
}

export default { render };

/**
 * The error plane: an arrow per structure and layer, drawn as SVG; no library and no request.
 *
 * `render` is for anywidget, `mount` for a page without a kernel.
 *
 * @typedef {import("./scales.js").Arrow} Arrow
 * @typedef {import("./scales.js").Data} Data
 * @typedef {import("./scales.js").Layer} Layer
 * @typedef {import("./scales.js").Scale} Scale
 * @typedef {import("../shared/model.js").Model} Model
 */
import { svg, tag } from "../shared/dom.js";
import { OfflineModel, listen } from "../shared/model.js";
import { background, paradoxLabel } from "./background.js";
import { legendOf } from "./legend.js";
import { margins, means } from "./means.js";
import { PLANE_HEIGHT, PLANE_WIDTH, scalesOf } from "./scales.js";
import { arrowShape, sample } from "./shapes.js";

const HINT = "Point at an arrow to name its structure; click it, or press Enter, to select it.";

/** Draws the plane and keeps it in step with its model. */
class ErrorPlane {
  /**
   * @param {HTMLElement} el
   * @param {Model} model
   */
  constructor(el, model) {
    this.el = el;
    this.model = model;
    el.classList.add("bpttviz-error-plane");
    el.dataset.model = model.get("name");
    this.chooser = tag("div", { class: "layers", role: "group", "aria-label": "layers" });
    this.stage = tag("div");
    this.status = tag("p", { class: "status", role: "status" });
    /** @type {Map<string, SVGGElement>} */
    this.marks = new Map();
    el.replaceChildren(this.chooser, this.stage, this.status);
    this.draw();
  }

  /** @returns {Data} */
  get data() {
    return this.model.get("data");
  }

  /** @returns {Layer[]} those that are shown */
  get layers() {
    const shown = this.model.get("shown");
    return this.data.layers.filter((layer) => shown.includes(layer.title));
  }

  // --- words ----------------------------------------------------------------------------------

  /**
   * @param {string} name  of a structure, or ""
   * @param {string} words
   */
  say(name, words) {
    this.status.replaceChildren(...(name ? [tag("b", {}, name), ": "] : []), words);
  }

  /** Say what is said while nothing is pointed at. */
  sayRest() {
    const selected = this.model.get("selected");
    if (this.marks.has(selected)) this.say(selected, this.wordsOf(selected));
    else this.say("", HINT);
  }

  /**
   * What there is to say about a structure, in every layer that is shown.
   * @param {string} name
   */
  wordsOf(name) {
    const { layers } = this;
    const words = layers.flatMap(({ title, arrows }) => arrows
      .filter((arrow) => arrow.name === name)
      .map((arrow) => (layers.length > 1 ? `${title}: ${arrow.words}` : arrow.words)));
    return words.join(". ");
  }

  // --- what the reader does ---------------------------------------------------------------------

  /** @param {string} name  of a structure, or "" for none */
  choose(name) {
    this.model.set("selected", name);
    this.model.save_changes();
  }

  /**
   * Show or hide a layer; the last one stays.
   * @param {string} title
   */
  toggle(title) {
    const all = this.data.layers.map((layer) => layer.title);
    const shown = new Set(this.model.get("shown"));
    if (!shown.delete(title)) shown.add(title);
    if (!shown.size) return;
    this.model.set("shown", all.filter((one) => shown.has(one)));
    this.model.save_changes();
  }

  /**
   * @param {KeyboardEvent} event
   * @param {string} name  of the structure that has the focus
   */
  onKey(event, name) {
    const names = [...this.marks.keys()], last = names.length - 1, at = names.indexOf(name);
    const to = {
      ArrowRight: (at + 1) % names.length, ArrowDown: (at + 1) % names.length,
      ArrowLeft: (at + last) % names.length, ArrowUp: (at + last) % names.length, Home: 0, End: last,
    }[event.key];
    if (event.key === "Enter" || event.key === " ") this.choose(name);
    else if (event.key === "Escape") this.choose("");
    else if (to !== undefined) {
      this.allowFocus(names[to]);
      this.marks.get(names[to])?.focus();
    } else return;
    event.preventDefault();
    event.stopPropagation(); // the notebook has uses of its own for these keys
  }

  /**
   * One structure at a time can be reached with Tab; the arrow keys lead to the others.
   * @param {string} name
   */
  allowFocus(name) {
    for (const [other, mark] of this.marks) mark.setAttribute("tabindex", other === name ? "0" : "-1");
  }

  showSelection() {
    const selected = this.model.get("selected");
    this.el.classList.toggle("some-selected", this.marks.has(selected));
    for (const [name, mark] of this.marks) {
      mark.setAttribute("aria-selected", String(name === selected));
      mark.classList.toggle("selected", name === selected);
    }
    if (this.marks.has(selected)) this.allowFocus(selected);
    this.sayRest();
  }

  // --- drawing ----------------------------------------------------------------------------------

  draw() {
    const { data, layers } = this;
    this.marks = new Map();
    const notes = data.notes.map((note) => tag("p", { class: "note" }, note));
    this.status.hidden = !data.structures.length;
    if (!data.structures.length) {
      this.chooser.replaceChildren();
      this.stage.replaceChildren(data.words, ...notes);
      return;
    }
    this.showButtons();
    this.stage.replaceChildren(this.picture(data, layers, scalesOf(data)), legendOf(data, layers), ...notes);
    const [first] = this.marks.keys();
    if (first !== undefined) this.allowFocus(first);
    this.showSelection();
  }

  /** A button for each layer, where there are several. */
  showButtons() {
    const all = this.data.layers, shown = this.layers;
    const focused = [...this.chooser.children].findIndex((child) => child === document.activeElement);
    const buttons = all.map(({ title, colour }) => {
      const element = tag("button", {
        type: "button", "aria-pressed": shown.some((layer) => layer.title === title), title: `Show or hide ${title}`,
      }, sample(colour, false), ` ${title}`);
      element.addEventListener("click", () => this.toggle(title));
      return element;
    });
    this.chooser.replaceChildren(...(all.length < 2 ? [] : [tag("span", {}, "show"), ...buttons]));
    buttons[focused - 1]?.focus(); // the one that was pressed was made anew
  }

  /**
   * @param {Data} data
   * @param {Layer[]} layers
   * @param {Scale} scale
   */
  picture(data, layers, scale) {
    const picture = svg("svg", {
      viewBox: `0 0 ${PLANE_WIDTH} ${PLANE_HEIGHT}`, role: "listbox", "aria-label": data.words,
    });
    const title = `${data.before} → ${layers.map((layer) => layer.title).join(", ")}`;
    picture.append(background(data, scale),
                   svg("text", { class: "title", x: 76, y: 20, "aria-hidden": "true" }, title));
    const drawn = new Set(layers.flatMap(({ arrows }) => arrows.map(({ name }) => name)));
    for (const name of data.structures.filter((structure) => drawn.has(structure))) {
      const mark = this.mark(name, layers, scale);
      this.marks.set(name, mark);
      picture.append(mark);
    }
    if (data.mean) picture.append(means(data, layers, scale), margins(data, layers, scale), paradoxLabel(data, layers, scale));
    picture.addEventListener("click", (event) => {
      if (event.target === picture) this.choose("");
    });
    return picture;
  }

  /**
   * All arrows of one structure: together they are one option.
   * @param {string} name
   * @param {Layer[]} layers
   * @param {Scale} scale
   */
  mark(name, layers, scale) {
    const words = this.wordsOf(name);
    const group = svg("g", {
      class: "arrow", role: "option", tabindex: -1, "aria-label": `${name}: ${words}`,
      "aria-selected": "false", "data-structure": name,
    });
    for (const layer of layers) {
      const arrow = layer.arrows.find((one) => one.name === name);
      if (arrow) group.append(this.arrow(arrow, layer, layers.length > 1, scale));
    }
    group.addEventListener("click", () => this.choose(name));
    group.addEventListener("pointerenter", () => this.say(name, words));
    group.addEventListener("pointerleave", () => this.sayRest());
    group.addEventListener("focus", () => this.say(name, words));
    group.addEventListener("blur", () => this.sayRest());
    group.addEventListener("keydown", (event) => this.onKey(event, name));
    return group;
  }

  /**
   * @param {Arrow} arrow
   * @param {Layer} layer
   * @param {boolean} several  whether there are other layers to tell it from
   * @param {Scale} scale
   */
  arrow({ name, points, meaning }, layer, several, { at }) {
    const { colour, dashed } = this.data.looks[meaning];
    const places = points.map(at);
    const d = `M${places.map((point) => point.join(" ")).join("L")}`;
    const group = svg("g", {
      class: several && !layer.filled ? "hollow" : "",
      style: `--colour: ${several ? layer.colour : colour}`,
    });
    const [[x, y]] = places;
    group.append(
      svg("path", { class: "halo", d }),
      svg("circle", { class: "origin", cx: x, cy: y, r: 3 }),
      ...arrowShape(places, 10, dashed ? "dashed" : ""),
      svg("path", { class: "reach", d }), // wide and invisible: easy to hit
    );
    places.slice(1, -1).forEach(([cx, cy], index) => {
      const [force, endpoint] = points[index + 1];
      const dot = svg("circle", { class: "way", cx, cy, r: 3 });
      dot.addEventListener("pointerenter", () => this.say(
        `${name} under ${layer.potentials[index + 1]}`,
        `endpoint error ${endpoint.toFixed(3)} amu^½ Å, force error ${force.toFixed(4)} eV/Å`));
      dot.addEventListener("pointerleave", () => this.say(name, this.wordsOf(name)));
      group.append(dot);
    });
    return group;
  }
}

/**
 * anywidget: draws the widget and keeps it in step with its model.
 * @param {{model: Model, el: HTMLElement}} context
 */
export function render({ model, el }) {
  const plane = new ErrorPlane(el, model);
  const draw = () => plane.draw();
  return listen(model, [
    ["change:data", draw], ["change:shown", draw], ["change:selected", () => plane.showSelection()],
  ]);
}

/**
 * Put an error plane into a page that has no kernel.
 * @param {HTMLElement} el
 * @param {{data: Data, shown: string[], selected: string}} values
 */
export function mount(el, values) {
  render({ model: new OfflineModel({ name: "", ...values }), el });
}

export default { render };

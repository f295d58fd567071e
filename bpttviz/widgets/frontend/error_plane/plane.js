/**
 * The error plane: an arrow per structure and layer, drawn as SVG; no library and no request.
 *
 * @typedef {import("./scales.js").Arrow} Arrow
 * @typedef {import("./scales.js").Data} Data
 * @typedef {import("./scales.js").ShownLayer} ShownLayer
 * @typedef {import("./scales.js").Scale} Scale
 * @typedef {import("../shared/model.js").Model} Model
 */
import { svg, tag, typeset } from "../shared/dom.js";
import { listen } from "../shared/model.js";
import { background } from "./background.js";
import { legendOf } from "./legend.js";
import { margins, means } from "./means.js";
import { paradoxLabel } from "./paradox.js";
import { meant } from "./pointing.js";
import { PLANE_HEIGHT, PLANE_WIDTH, scalesOf, until } from "./scales.js";
import { arrowShape, sample } from "./shapes.js";
import { Thumbnail } from "./thumbnail.js";

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
    this.slider = this.stageSlider();
    this.stage = tag("div");
    this.status = tag("p", { class: "status", role: "status" });
    this.thumbnail = new Thumbnail(this.data.thumbnails);
    this.legend = tag("div");
    this.notes = tag("div");
    /** @type {Map<string, SVGGElement>} */
    this.marks = new Map();
    /** @type {import("./pointing.js").Target[]} */
    this.targets = [];
    /** @type {string[]} structures that the mouse may mean, the nearest first */
    this.pointed = [];
    el.replaceChildren(this.chooser, this.slider.row, this.stage,
      tag("div", { class: "below" }, tag("div", {}, this.legend, this.status, this.notes), this.thumbnail.el));
    this.draw();
  }

  /** @returns {Data} */
  get data() {
    return this.model.get("data");
  }

  /** @returns {number} how many times their size letters have, as the picture is shown small */
  get letters() {
    return this.model.get("letters") ?? 1;
  }

  /** @returns {ShownLayer[]} those that are shown, as far as they are */
  get layers() {
    const shown = this.model.get("shown"), stage = this.model.get("stage");
    return this.data.layers.filter((layer) => shown.includes(layer.title)).map((layer) => until(layer, stage));
  }

  // --- words ----------------------------------------------------------------------------------

  /**
   * @param {string} name  of a structure, or ""
   * @param {string} words
   */
  say(name, words) {
    this.status.replaceChildren(...(name ? [tag("b", {}, name), ": "] : []), ...typeset(words));
    const { potentials } = this.layers[this.layers.length - 1];
    this.thumbnail.show(name, potentials[potentials.length - 1]);
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
   * Name the structure whose arrow is nearest, and what is near it, too.
   * @param {PointerEvent} event
   * @param {SVGSVGElement} picture
   */
  point(event, picture) {
    const place = new DOMPoint(event.clientX, event.clientY).matrixTransform(picture.getScreenCTM()?.inverse());
    this.pointed = meant([place.x, place.y], this.targets);
    this.showPointed();
    const [name] = this.pointed;
    const dot = event.target instanceof Element && event.target.closest(".way");
    if (!name) this.sayRest();
    else if (dot && dot.closest(`[data-structure="${CSS.escape(name)}"]`)) {
      this.say(`${name} under ${dot.getAttribute("data-potential")}`, String(dot.getAttribute("data-words")));
    } else {
      const more = this.pointed.length - 1;
      this.say(name, this.wordsOf(name) + (more ? `. ${more} more here: click again` : ""));
    }
  }

  /** The arrow that the mouse means stands out; the others step back. */
  showPointed() {
    const [first] = this.pointed;
    this.el.classList.toggle("some-pointed", first !== undefined);
    for (const [name, mark] of this.marks) mark.classList.toggle("pointed", name === first);
  }

  /** Select what the mouse means: at another click in one place the next one of several. */
  choosePointed() {
    const at = this.pointed.indexOf(this.model.get("selected"));
    const name = this.pointed[(at + 1) % Math.max(this.pointed.length, 1)] ?? "";
    this.choose(name);
    if (name) this.say(name, this.wordsOf(name));
  }

  /** A slider that says how far arrows go, where they go through several potentials. */
  stageSlider() {
    const input = tag("input", { type: "range", min: 1, step: 1 });
    const output = tag("output");
    input.addEventListener("keydown", (event) => event.stopPropagation()); // its own keys move it
    const row = tag("label", { class: "stages" }, "arrows as far as", input, output);
    input.addEventListener("input", () => {
      this.model.set("stage", Number(input.value));
      this.model.save_changes();
    });
    return { row, input, output };
  }

  showStage() {
    const { row, input, output } = this.slider;
    const most = Math.max(...this.data.layers.map(({ stages }) => stages.length));
    const names = new Set(this.layers.filter(({ stages }) => stages.length > 1)
      .map(({ potentials }) => potentials[potentials.length - 1]));
    row.hidden = most < 2;
    input.max = String(most);
    input.value = this.model.get("stage");
    output.textContent = [...names].join(", ");
    input.setAttribute("aria-valuetext", output.textContent);
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
    const focused = [...this.marks].find(([, mark]) => mark === document.activeElement)?.[0];
    this.marks = new Map();
    this.pointed = [];
    this.el.classList.remove("some-pointed");
    this.notes.replaceChildren(...data.notes.map((note) => tag("p", { class: "note" }, note)));
    this.status.hidden = !data.structures.length;
    if (!data.structures.length) {
      this.slider.row.hidden = true;
      this.chooser.replaceChildren();
      this.legend.replaceChildren();
      this.stage.replaceChildren(data.words);
      return;
    }
    this.el.style.setProperty("--letters", String(this.letters));
    this.showButtons();
    this.showStage();
    this.thumbnail.setStills(data.thumbnails);
    this.stage.replaceChildren(this.picture(data, layers, scalesOf(data)));
    this.legend.replaceChildren(legendOf(data, layers));
    const [first] = this.marks.keys();
    if (first !== undefined) this.allowFocus(first);
    this.showSelection();
    if (focused !== undefined && this.marks.has(focused)) { // it was drawn anew
      this.allowFocus(focused);
      this.marks.get(focused)?.focus();
    }
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
   * @param {ShownLayer[]} layers
   * @param {Scale} scale
   */
  picture(data, layers, scale) {
    const picture = svg("svg", {
      viewBox: `0 0 ${PLANE_WIDTH} ${PLANE_HEIGHT}`, role: "listbox", "aria-label": data.words,
    });
    const title = `${data.before} → ${layers.map((layer) => layer.title).join(", ")}`;
    picture.append(background(data, scale),
                   svg("text", { class: "title", x: 76, y: 20, "aria-hidden": "true" }, title));
    this.targets = [];
    const drawn = new Set(layers.flatMap(({ arrows }) => arrows.map(({ name }) => name)));
    for (const name of data.structures.filter((structure) => drawn.has(structure))) {
      const mark = this.mark(name, layers, scale);
      this.marks.set(name, mark);
      picture.append(mark);
    }
    if (data.mean) picture.append(means(data, layers, scale), paradoxLabel(data, layers, scale, this.letters));
    if (data.intervals) picture.append(margins(data, layers, scale));
    picture.addEventListener("pointermove", (event) => this.point(event, picture));
    picture.addEventListener("pointerleave", () => {
      this.pointed = [];
      this.showPointed();
      this.sayRest();
    });
    picture.addEventListener("click", (event) => {
      this.point(/** @type {PointerEvent} */ (event), picture);
      this.choosePointed();
    });
    return picture;
  }

  /**
   * All arrows of one structure: together they are one option.
   * @param {string} name
   * @param {ShownLayer[]} layers
   * @param {Scale} scale
   */
  mark(name, layers, scale) {
    const words = this.wordsOf(name);
    const group = svg("g", {
      class: "arrow", role: "option", tabindex: -1, "aria-label": `${name}: ${words}`,
      "aria-selected": "false", "data-structure": name,
    });
    /** @type {import("./scales.js").Point[][]} */
    const ways = [];
    for (const layer of layers) {
      const arrow = layer.arrows.find((one) => one.name === name);
      if (!arrow) continue;
      group.append(this.arrow(arrow, layer, layers.length > 1, scale));
      ways.push(arrow.points.map(scale.at));
    }
    this.targets.push({ name, ways });
    group.addEventListener("focus", () => this.say(name, words));
    group.addEventListener("blur", () => this.sayRest());
    group.addEventListener("keydown", (event) => this.onKey(event, name));
    return group;
  }

  /**
   * @param {Arrow} arrow
   * @param {ShownLayer} layer
   * @param {boolean} several  whether there are other layers to tell it from
   * @param {Scale} scale
   */
  arrow({ name, points, meaning }, layer, several, { at }) {
    const { colour, dashed } = this.data.looks[meaning];
    const places = points.map(at);
    const all = layer.whole.arrows.find((one) => one.name === name)?.points.slice(points.length - 1).map(at) ?? [];
    const d = `M${places.map((point) => point.join(" ")).join("L")}`;
    const group = svg("g", {
      class: several && !layer.filled ? "hollow" : "",
      style: `--colour: ${several ? layer.colour : colour}`,
    });
    const [[x, y]] = places;
    group.append(
      svg("path", { class: "ahead", d: `M${all.map((point) => point.join(" ")).join("L")}` }), // not shown yet
      ...all.slice(1).map(([cx, cy]) => svg("circle", { class: "ahead", cx, cy, r: 2 })),
      svg("path", { class: "halo", d }),
      svg("circle", { class: "origin", cx: x, cy: y, r: 3 }),
      ...arrowShape(places, 10, dashed ? "dashed" : ""),
    );
    places.slice(1, -1).forEach(([cx, cy], index) => {
      const [force, endpoint] = points[index + 1];
      group.append(svg("circle", {
        class: "way", cx, cy, r: 3, "data-potential": layer.potentials[index + 1],
        "data-words": `endpoint error ${endpoint.toFixed(3)} amu^½ Å, force error ${force.toFixed(4)} eV/Å`,
      }));
    });
    return group;
  }
}

/**
 * Draw an error plane, and keep it in step with its model.
 * @param {HTMLElement} el
 * @param {Model} model
 * @returns {() => void} stops following the model
 */
export function showPlane(el, model) {
  const plane = new ErrorPlane(el, model);
  const draw = () => plane.draw();
  return listen(model, [
    ["change:data", draw], ["change:shown", draw], ["change:stage", draw], ["change:letters", draw],
    ["change:selected", () => plane.showSelection()],
  ]);
}

/**
 * The error plane: an arrow per structure and layer, drawn as SVG; no library and no request.
 * Everything shown arrives worked out in `data`; only pixels are computed here.
 *
 * @typedef {[number, number]} Point  (force error in eV/Å, endpoint error in amu^½ Å)
 * @typedef {{name: string, points: Point[], meaning: string, words: string}} Arrow
 * @typedef {{colour: string, dashed: boolean}} Look
 *
 * @typedef {Object} Layer
 * @property {string} title
 * @property {string} colour     of its arrows, where several layers are shown
 * @property {boolean} filled    whether its heads are, then
 * @property {string} better     in words: how many ends got better
 * @property {string[]} potentials            [before, ..., after]
 * @property {Arrow[]} arrows
 * @property {Object<string, number>} counts  arrows by meaning
 * @property {Point[] | null} mean            at each potential
 * @property {number[][][] | null} interval   at each potential × [force, endpoint] × (low, high)
 *
 * @typedef {Object} Data
 * @property {string} words        the whole picture in words
 * @property {string} before       name of the potential that all layers start from
 * @property {string} paradox      label of the quarter "endpoint better, forces worse"
 * @property {string[]} notes      what could not be drawn, and why
 * @property {string[]} structures those that have an arrow
 * @property {Layer[]} layers
 * @property {Object<string, Look>} looks     of arrows, by meaning, where one layer is shown
 * @property {[Point, Point]} limits          [force, endpoint] × (low, high)
 * @property {[number[], number[]]} ticks     [force, endpoint]
 * @property {Point | null} mean              before
 * @property {number | null} noise_floor
 */
import { svg, tag } from "./elements.js";
import { PageModel } from "./pagemodel.js";

const WIDTH = 720, HEIGHT = 470;
const ROW = 11; // pixels for a mean in a margin

/** The plot's edges: there is a row in the margins for the mean before, and one for each layer. */
function frameOf({ mean, layers }) {
  const rows = mean ? 6 + ROW * (layers.length + 1) : 0;
  return { left: 76, right: WIDTH - 14 - rows, top: 30 + rows, bottom: HEIGHT - 52 };
}

/**
 * Functions from errors to pixels, on logarithmic axes.
 * @param {Data} data
 */
function scales(data) {
  const [[x0, x1], [y0, y1]] = data.limits;
  const { left, right, top, bottom } = frameOf(data);
  const part = (value, low, high) => Math.log(value / low) / Math.log(high / low);
  const x = (value) => left + part(value, x0, x1) * (right - left);
  const y = (value) => bottom - part(value, y0, y1) * (bottom - top);
  return { x, y, at: ([force, endpoint]) => [x(force), y(endpoint)] };
}

/**
 * Axes, quarters and the noise floor: all that lies behind the arrows.
 * @param {Data} data
 * @param {ReturnType<typeof scales>} scale
 */
function background(data, { x, y, at }) {
  const { left, right, top, bottom } = frameOf(data);
  const group = svg("g", { "aria-hidden": "true" });
  if (data.mean) {
    const [mx, my] = at(data.mean);
    group.append(
      svg("rect", { class: "paradox", x: mx, y: my, width: right - mx, height: bottom - my }),
      svg("line", { class: "divide", x1: mx, x2: mx, y1: top, y2: bottom }),
      svg("line", { class: "divide", x1: left, x2: right, y1: my, y2: my }),
    );
  }
  if (data.noise_floor) {
    const level = y(data.noise_floor);
    group.append(
      svg("rect", { class: "noise", x: left, y: level, width: right - left, height: bottom - level }),
      svg("text", { class: "faint", x: left + 6, y: level + 13 }, "within the references' own error"),
    );
  }
  data.ticks[0].forEach((value) => group.append(
    svg("line", { class: "axis", x1: x(value), x2: x(value), y1: bottom, y2: bottom + 5 }),
    svg("text", { class: "tick", x: x(value), y: bottom + 18, "text-anchor": "middle" },
        String(value)),
  ));
  data.ticks[1].forEach((value) => group.append(
    svg("line", { class: "axis", x1: left - 5, x2: left, y1: y(value), y2: y(value) }),
    svg("text", { class: "tick", x: left - 9, y: y(value) + 4, "text-anchor": "end" },
        String(value)),
  ));
  const middle = (top + bottom) / 2;
  group.append(
    svg("path", { class: "axis", d: `M${left} ${top}V${bottom}H${right}` }),
    svg("text", { class: "label", x: (left + right) / 2, y: HEIGHT - 10, "text-anchor": "middle" },
        "force error (MAE) / eV/Å"),
    svg("text", { class: "label", x: 14, y: middle, "text-anchor": "middle",
                  transform: `rotate(-90 14 ${middle})` },
        "endpoint error at rest, ΔQ / amu", svg("tspan", { dy: -4, "font-size": 9 }, "½"),
        svg("tspan", { dy: 4 }, " Å")),
  );
  return group;
}

/** The name of the quarter "endpoint better, forces worse", at its top, where few arrows end. */
function paradoxLabel(data, { y }) {
  const { right, bottom } = frameOf(data);
  const top = Math.min(y(data.mean[1]), bottom - 40);
  const line = (down, text) => svg("text", {
    class: "paradox-label", x: right - 8, y: top + down, "text-anchor": "end" }, text);
  return svg("g", { "aria-hidden": "true" }, line(16, data.paradox),
             line(30, "(where the mean goes, seen from where it was)"));
}

/**
 * A line with a head, through some points of the picture.
 * @param {Point[]} points   pixels
 * @param {number} size      of the head, pixels
 * @param {string} look      class names of the line
 */
function arrowShape(points, size, look = "") {
  const [[x0, y0], [x1, y1]] = points.slice(-2);
  const length = Math.hypot(x1 - x0, y1 - y0) || 1;
  const [ux, uy] = [(x1 - x0) / length, (y1 - y0) / length];
  const head = Math.min(size, Math.max(length, 5));
  const [bx, by] = [x1 - head * ux, y1 - head * uy];
  const half = 0.42 * head;
  const line = [...points.slice(0, -1), [bx, by]].map((point) => point.join(" ")).join("L");
  return [
    svg("path", { class: `shaft ${look}`, d: `M${line}` }),
    svg("polygon", { class: "head", points:
      `${x1},${y1} ${bx - half * uy},${by + half * ux} ${bx + half * uy},${by - half * ux}` }),
  ];
}

function diamond([x, y], size, attributes) {
  return svg("rect", { x: -size / 2, y: -size / 2, width: size, height: size,
                       transform: `translate(${x} ${y}) rotate(45)`, ...attributes });
}

/**
 * The means before and after, and the way from one to the other.
 * @param {Data} data
 * @param {Layer[]} layers  those that are shown
 * @param {ReturnType<typeof scales>} scale
 */
function means(data, layers, { at }) {
  const group = svg("g", { class: "mean", "aria-hidden": "true" });
  for (const { mean, colour, title } of layers) {
    const style = layers.length > 1 ? `--colour: ${colour}` : "";
    const places = mean.map(at);
    const [x, y] = places[places.length - 1];
    const way = svg("g", { style }, ...arrowShape(places, 13), diamond([x, y], 10, { class: "after" }));
    if (layers.length > 1) way.append(svg("text", { class: "layer", x: x + 9, y: y - 7 }, title));
    group.append(way);
  }
  group.append(diamond(at(data.mean), 10, { class: "before" }));
  return group;
}

/**
 * The means of each error alone, with their intervals: above the plane, and to its right.
 * @param {Data} data
 * @param {Layer[]} layers  those that are shown
 * @param {ReturnType<typeof scales>} scale
 */
function margins(data, layers, { x, y }) {
  const { right, top } = frameOf(data);
  const group = svg("g", { class: "mean margins", "aria-hidden": "true" });
  const [first] = layers;
  const rows = [
    { look: "before", style: "", mean: data.mean, interval: first.interval?.[0] },
    ...layers.map(({ mean, interval, colour }) => ({
      look: "after", style: layers.length > 1 ? `--colour: ${colour}` : "",
      mean: mean[mean.length - 1], interval: interval?.[interval.length - 1],
    })),
  ];
  rows.forEach(({ look, style, mean: [force, endpoint], interval }, row) => {
    const [above, beside] = [top - 8 - ROW * row, right + 8 + ROW * row];
    const mark = svg("g", { style });
    if (interval) {
      const [[x0, x1], [y0, y1]] = interval;
      mark.append(
        svg("line", { class: "interval", x1: x(x0), x2: x(x1), y1: above, y2: above }),
        svg("line", { class: "interval", x1: beside, x2: beside, y1: y(y0), y2: y(y1) }),
      );
    }
    mark.append(diamond([x(force), above], 6.5, { class: look }),
                diamond([beside, y(endpoint)], 6.5, { class: look }));
    group.append(mark);
  });
  return group;
}

/** Draws the widget and keeps it in step with its model. */
function render({ model, el }) {
  el.classList.add("bpttviz-error-plane");
  el.dataset.model = model.get("name");
  const chooser = tag("div", { class: "layers", role: "group", "aria-label": "layers" });
  const stage = tag("div");
  const status = tag("p", { class: "status", role: "status" });
  el.replaceChildren(chooser, stage, status);
  /** @type {Map<string, SVGGElement>} */
  let marks = new Map();

  const hint = "Point at an arrow to name its structure; click it, or press Enter, to select it.";
  const say = (name, words) => status.replaceChildren(...(name ? [tag("b", {}, name), ": "] : []), words);
  const rest = () => {
    const selected = model.get("selected");
    if (marks.has(selected)) say(selected, wordsOf(selected));
    else say("", hint);
  };
  const shownLayers = () => {
    const shown = model.get("shown");
    return model.get("data").layers.filter((layer) => shown.includes(layer.title));
  };

  /** What there is to say about a structure, in every layer that is shown. */
  function wordsOf(name) {
    const layers = shownLayers();
    const words = layers.flatMap(({ title, arrows }) => arrows
      .filter((arrow) => arrow.name === name)
      .map((arrow) => (layers.length > 1 ? `${title}: ${arrow.words}` : arrow.words)));
    return words.join(". ");
  }

  function choose(name) {
    model.set("selected", name);
    model.save_changes();
  }

  /** Show or hide a layer; the last one stays. */
  function toggle(title) {
    const all = model.get("data").layers.map((layer) => layer.title);
    const shown = new Set(model.get("shown"));
    if (!shown.delete(title)) shown.add(title);
    if (!shown.size) return;
    model.set("shown", all.filter((one) => shown.has(one)));
    model.save_changes();
  }

  function showSelection() {
    const selected = model.get("selected");
    el.classList.toggle("some-selected", marks.has(selected));
    for (const [name, mark] of marks) {
      mark.setAttribute("aria-selected", String(name === selected));
      mark.classList.toggle("selected", name === selected);
    }
    if (marks.has(selected)) allowFocus(selected);
    rest();
  }

  /** One structure at a time can be reached with Tab; the arrow keys lead to the others. */
  function allowFocus(name) {
    for (const [other, mark] of marks) mark.setAttribute("tabindex", other === name ? 0 : -1);
  }

  function onKey(event, name) {
    const names = [...marks.keys()];
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const to = { Home: 0, End: names.length - 1 }[event.key]
      ?? (step && (names.indexOf(name) + step + names.length) % names.length);
    if (event.key === "Enter" || event.key === " ") choose(name);
    else if (event.key === "Escape") choose("");
    else if (to !== undefined) {
      allowFocus(names[to]);
      marks.get(names[to]).focus();
    } else return;
    event.preventDefault();
    event.stopPropagation(); // the notebook has uses of its own for these keys
  }

  /** All arrows of one structure: together they are one option. */
  function mark(name, layers, scale) {
    const words = wordsOf(name);
    const group = svg("g", {
      class: "arrow", role: "option", tabindex: -1, "aria-label": `${name}: ${words}`,
      "aria-selected": "false", "data-structure": name,
    });
    for (const layer of layers) {
      const arrow = layer.arrows.find((one) => one.name === name);
      if (arrow) group.append(oneArrow(arrow, layer, layers.length > 1, scale));
    }
    group.addEventListener("click", () => choose(name));
    group.addEventListener("pointerenter", () => say(name, words));
    group.addEventListener("pointerleave", rest);
    group.addEventListener("focus", () => say(name, words));
    group.addEventListener("blur", rest);
    group.addEventListener("keydown", (event) => onKey(event, name));
    return group;
  }

  function oneArrow({ name, points, meaning }, layer, several, { at }) {
    const { colour, dashed } = model.get("data").looks[meaning];
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
      dot.addEventListener("pointerenter", () => say(
        `${name} under ${layer.potentials[index + 1]}`,
        `endpoint error ${endpoint.toFixed(3)} amu^½ Å, force error ${force.toFixed(4)} eV/Å`));
      dot.addEventListener("pointerleave", () => say(name, wordsOf(name)));
      group.append(dot);
    });
    return group;
  }

  /** A short line as in the picture, for a legend. */
  const sample = (colour, dashed) => svg("svg",
    { class: "sample", width: 26, height: 10, style: `--colour: ${colour}`, "aria-hidden": "true" },
    svg("line", { x1: 1, x2: 25, y1: 5, y2: 5, class: dashed ? "dashed" : "" }));

  function legend(data, layers) {
    const items = layers.length === 1
      ? Object.entries(data.looks).filter(([meaning]) => layers[0].counts[meaning]).map(
        ([meaning, { colour, dashed }]) =>
          tag("li", {}, sample(colour, dashed), ` ${meaning}: ${layers[0].counts[meaning]}`))
      : [...layers.map(({ title, colour, better }) =>
        tag("li", {}, sample(colour, false), ` ${title}: ${better}`)),
         tag("li", {}, "dashed: endpoint worse")];
    if (layers.some(({ potentials }) => potentials.length > 2)) {
      items.push(tag("li", {}, "dots: training epochs on the way"));
    }
    if (data.mean) {
      const known = layers.some(({ interval }) => interval);
      items.push(tag("li", {}, "◇ → ◆ means" + (known ? "; in the margins, their 95 % intervals" : "")));
    }
    return tag("ul", { class: "legend" }, ...items);
  }

  function buttons(layers, shown) {
    if (layers.length < 2) return [];
    return [tag("span", {}, "show"), ...layers.map(({ title, colour }) => {
      const down = shown.some((layer) => layer.title === title);
      const button = tag("button", {
        type: "button", "aria-pressed": String(down), title: `Show or hide ${title}`,
      }, sample(colour, false), ` ${title}`);
      button.addEventListener("click", () => toggle(title));
      return button;
    })];
  }

  function draw() {
    /** @type {Data} */
    const data = model.get("data");
    marks = new Map();
    const notes = data.notes.map((note) => tag("p", { class: "note" }, note));
    status.hidden = !data.structures.length;
    if (!data.structures.length) {
      chooser.replaceChildren();
      stage.replaceChildren(data.words, ...notes);
      return;
    }
    const layers = shownLayers();
    const focused = chooser.contains(document.activeElement)
      ? [...chooser.children].indexOf(document.activeElement) : -1;
    chooser.replaceChildren(...buttons(data.layers, layers));
    chooser.children[focused]?.focus(); // its button was made anew
    const scale = scales(data);
    const picture = svg("svg", {
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "listbox", "aria-label": data.words,
    });
    const title = `${data.before} → ${layers.map((layer) => layer.title).join(", ")}`;
    picture.append(background(data, scale),
                   svg("text", { class: "title", x: 76, y: 20, "aria-hidden": "true" }, title));
    const has = (name) => layers.some(({ arrows }) => arrows.some((arrow) => arrow.name === name));
    for (const name of data.structures.filter(has)) {
      const group = mark(name, layers, scale);
      marks.set(name, group);
      picture.append(group);
    }
    if (data.mean) picture.append(means(data, layers, scale), margins(data, layers, scale));
    if (data.mean) picture.append(paradoxLabel(data, scale));
    picture.addEventListener("click", (event) => {
      if (event.target === picture) choose("");
    });
    stage.replaceChildren(picture, legend(data, layers), ...notes);
    if (marks.size) allowFocus(marks.keys().next().value);
    showSelection();
  }

  const listeners = [["change:data", draw], ["change:shown", draw], ["change:selected", showSelection]];
  for (const [event, listener] of listeners) model.on(event, listener);
  draw();
  return () => {
    for (const [event, listener] of listeners) model.off(event, listener);
  };
}

/**
 * Put an error plane into a page that has no kernel.
 * @param {HTMLElement} el
 * @param {{data: Data, shown: string[], selected: string}} values
 */
export function mount(el, values) {
  render({ model: new PageModel({ name: "", ...values }), el });
}

export default { render };

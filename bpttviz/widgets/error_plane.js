/**
 * The error plane: an arrow per structure, drawn as SVG; no library and no request.
 * Everything shown arrives worked out in `data`; only pixels are computed here.
 *
 * @typedef {[number, number]} Point  (force error in eV/Å, endpoint error in amu^½ Å)
 * @typedef {{name: string, before: Point, after: Point, meaning: string, words: string}} Arrow
 * @typedef {{text: string, colour: string, dashed: boolean, count: number}} Meaning
 * @typedef {Object} Data
 * @property {string} words        the whole picture in words
 * @property {string} title
 * @property {string} before       name of the first potential
 * @property {string} after        name of the second
 * @property {string} paradox      label of the quarter "endpoint better, forces worse"
 * @property {string[]} notes      what could not be drawn, and why
 * @property {Arrow[]} arrows
 * @property {Meaning[]} meanings
 * @property {[Point, Point]} limits          [force, endpoint] × (low, high)
 * @property {[number[], number[]]} ticks     [force, endpoint]
 * @property {[Point, Point]} mean            [before, after]
 * @property {number[][][] | null} interval   [before, after] × [force, endpoint] × (low, high)
 * @property {number | null} noise_floor
 */

const WIDTH = 720, HEIGHT = 470;
const PLOT = { left: 66, right: 18, top: 34, bottom: 52 };

/**
 * An SVG element.
 * @param {string} tag
 * @param {Object<string, string | number>} attributes
 * @param {(Node | string)[]} children
 */
function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/**
 * Functions from errors to pixels, on logarithmic axes.
 * @param {[Point, Point]} limits
 */
function scales([[x0, x1], [y0, y1]]) {
  const part = (value, low, high) => Math.log(value / low) / Math.log(high / low);
  return {
    x: (value) => PLOT.left + part(value, x0, x1) * (WIDTH - PLOT.left - PLOT.right),
    y: (value) => HEIGHT - PLOT.bottom - part(value, y0, y1) * (HEIGHT - PLOT.top - PLOT.bottom),
  };
}

/**
 * Axes, quarters and the noise floor: all that lies behind the arrows.
 * @param {Data} data
 * @param {ReturnType<typeof scales>} scale
 */
function background(data, { x, y }) {
  const bottom = HEIGHT - PLOT.bottom, right = WIDTH - PLOT.right;
  const group = svg("g", { "aria-hidden": "true" });
  const [mx, my] = [x(data.mean[0][0]), y(data.mean[0][1])];
  group.append(
    svg("rect", { class: "paradox", x: mx, y: my, width: right - mx, height: bottom - my }),
    svg("line", { class: "divide", x1: mx, x2: mx, y1: PLOT.top, y2: bottom }),
    svg("line", { class: "divide", x1: PLOT.left, x2: right, y1: my, y2: my }),
  );
  if (data.noise_floor) {
    const level = y(data.noise_floor);
    group.append(
      svg("rect", { class: "noise", x: PLOT.left, y: level, width: right - PLOT.left,
                    height: bottom - level }),
      svg("text", { class: "faint", x: PLOT.left + 6, y: level + 13 },
          "within the references' own error"),
    );
  }
  data.ticks[0].forEach((value) => group.append(
    svg("line", { class: "axis", x1: x(value), x2: x(value), y1: bottom, y2: bottom + 5 }),
    svg("text", { class: "tick", x: x(value), y: bottom + 18, "text-anchor": "middle" },
        String(value)),
  ));
  data.ticks[1].forEach((value) => group.append(
    svg("line", { class: "axis", x1: PLOT.left - 5, x2: PLOT.left, y1: y(value), y2: y(value) }),
    svg("text", { class: "tick", x: PLOT.left - 9, y: y(value) + 4, "text-anchor": "end" },
        String(value)),
  ));
  const middle = (PLOT.top + bottom) / 2;
  const free = data.noise_floor ? Math.min(bottom, y(data.noise_floor)) : bottom;
  group.append(
    svg("path", { class: "axis", d: `M${PLOT.left} ${PLOT.top}V${bottom}H${right}` }),
    svg("text", { class: "label", x: (PLOT.left + right) / 2, y: HEIGHT - 10,
                  "text-anchor": "middle" }, "force error (MAE) / eV/Å"),
    svg("text", { class: "label", x: 16, y: middle, "text-anchor": "middle",
                  transform: `rotate(-90 16 ${middle})` },
        "endpoint error at rest, ΔQ / amu", svg("tspan", { dy: -4, "font-size": 9 }, "½"),
        svg("tspan", { dy: 4 }, " Å")),
    svg("text", { class: "title", x: PLOT.left, y: 20 }, data.title),
    svg("text", { class: "paradox-label", x: right - 8, y: free - 22, "text-anchor": "end" },
        data.paradox),
    svg("text", { class: "paradox-label", x: right - 8, y: free - 8, "text-anchor": "end" },
        "(where the mean goes, seen from where it was)"),
  );
  return group;
}

/**
 * A line with a head, from one point of the picture to another.
 * @param {Point} from  pixels
 * @param {Point} to    pixels
 * @param {number} size of the head, pixels
 * @param {boolean} dashed
 */
function arrowShape([x0, y0], [x1, y1], size, dashed) {
  const length = Math.hypot(x1 - x0, y1 - y0) || 1;
  const [ux, uy] = [(x1 - x0) / length, (y1 - y0) / length];
  const head = Math.min(size, Math.max(length, 5));
  const [bx, by] = [x1 - head * ux, y1 - head * uy];
  const half = 0.42 * head;
  return [
    svg("line", { class: dashed ? "shaft dashed" : "shaft", x1: x0, y1: y0, x2: bx, y2: by }),
    svg("polygon", { class: "head", points:
      `${x1},${y1} ${bx - half * uy},${by + half * ux} ${bx + half * uy},${by - half * ux}` }),
  ];
}

/**
 * The mean before and after, with their intervals.
 * @param {Data} data
 * @param {ReturnType<typeof scales>} scale
 */
function means(data, { x, y }) {
  const group = svg("g", { class: "mean", "aria-hidden": "true" });
  data.mean.forEach(([mx, my], index) => {
    if (data.interval) {
      const [[xl, xh], [yl, yh]] = data.interval[index];
      group.append(
        svg("line", { class: "interval", x1: x(xl), x2: x(xh), y1: y(my), y2: y(my) }),
        svg("line", { class: "interval", x1: x(mx), x2: x(mx), y1: y(yl), y2: y(yh) }),
      );
    }
    group.append(
      svg("rect", { class: index ? "diamond after" : "diamond", x: -5, y: -5, width: 10,
                    height: 10, transform: `translate(${x(mx)} ${y(my)}) rotate(45)` }),
    );
  });
  const [from, to] = data.mean.map(([mx, my]) => [x(mx), y(my)]);
  group.append(...arrowShape(from, to, 13, false));
  return group;
}

/** Draws the widget and keeps it in step with its model. */
function render({ model, el }) {
  el.classList.add("bpttviz-error-plane");
  const stage = document.createElement("div");
  const status = document.createElement("p");
  status.className = "status";
  status.setAttribute("role", "status");
  el.replaceChildren(stage, status);
  /** @type {Map<string, SVGGElement>} */
  let marks = new Map();

  const hint = "Point at an arrow to name its structure; click it, or press Enter, to select it.";
  const say = (text) => { status.textContent = text; };
  const wordsOf = (name) => model.get("data").arrows.find((a) => a.name === name)?.words;
  const rest = () => say(wordsOf(model.get("selected")) ?? hint);

  function choose(name) {
    model.set("selected", name);
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

  /** One arrow at a time can be reached with Tab; the arrow keys lead to the others. */
  function allowFocus(name) {
    for (const [other, mark] of marks) mark.setAttribute("tabindex", other === name ? 0 : -1);
  }

  function onKey(event, name) {
    const names = [...marks.keys()];
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (event.key === "Enter" || event.key === " ") choose(name);
    else if (event.key === "Escape") choose("");
    else if (step) {
      const next = names[(names.indexOf(name) + step + names.length) % names.length];
      allowFocus(next);
      marks.get(next).focus();
    } else return;
    event.preventDefault();
    event.stopPropagation(); // the notebook has uses of its own for these keys
  }

  function mark(arrow, look, { x, y }) {
    const from = [x(arrow.before[0]), y(arrow.before[1])];
    const to = [x(arrow.after[0]), y(arrow.after[1])];
    const group = svg("g", {
      class: "arrow", role: "option", tabindex: -1, "aria-label": arrow.words,
      "aria-selected": "false", "data-structure": arrow.name, style: `--colour: ${look.colour}`,
    });
    const ends = { x1: from[0], y1: from[1], x2: to[0], y2: to[1] };
    group.append(
      svg("line", { class: "halo", ...ends }),
      svg("circle", { class: "origin", cx: from[0], cy: from[1], r: 3 }),
      ...arrowShape(from, to, 10, look.dashed),
      svg("line", { class: "reach", ...ends }), // wide and invisible: easy to hit
    );
    group.addEventListener("click", () => choose(arrow.name));
    group.addEventListener("pointerenter", () => say(arrow.words));
    group.addEventListener("pointerleave", rest);
    group.addEventListener("focus", () => say(arrow.words));
    group.addEventListener("blur", rest);
    group.addEventListener("keydown", (event) => onKey(event, arrow.name));
    return group;
  }

  function legend(data) {
    const list = document.createElement("ul");
    list.className = "legend";
    for (const { text, colour, dashed, count } of data.meanings) {
      const item = document.createElement("li");
      item.append(
        svg("svg", { width: 26, height: 10, "aria-hidden": "true" },
            svg("line", { x1: 1, x2: 25, y1: 5, y2: 5, stroke: colour, "stroke-width": 2.5,
                          ...(dashed && { "stroke-dasharray": "6 4" }) })),
        ` ${text}: ${count}`,
      );
      list.append(item);
    }
    const mean = document.createElement("li");
    mean.textContent = data.interval ? "◇ → ◆ means, with 95 % intervals" : "◇ → ◆ means";
    list.append(mean);
    return list;
  }

  function draw() {
    /** @type {Data} */
    const data = model.get("data");
    marks = new Map();
    const notes = (data.notes ?? []).map((note) => {
      const line = document.createElement("p");
      line.className = "note";
      line.textContent = note;
      return line;
    });
    if (!data.arrows?.length) {
      stage.replaceChildren(data.words ?? "", ...notes);
      status.hidden = true;
      return;
    }
    const scale = scales(data.limits);
    const picture = svg("svg", {
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "listbox", "aria-label": data.words,
    });
    picture.append(background(data, scale));
    const looks = new Map(data.meanings.map((meaning) => [meaning.text, meaning]));
    for (const arrow of data.arrows) {
      const group = mark(arrow, looks.get(arrow.meaning), scale);
      marks.set(arrow.name, group);
      picture.append(group);
    }
    picture.append(means(data, scale));
    picture.addEventListener("click", (event) => {
      if (event.target === picture) choose("");
    });
    stage.replaceChildren(picture, legend(data), ...notes);
    allowFocus(data.arrows[0].name);
    showSelection();
  }

  model.on("change:data", draw);
  model.on("change:selected", showSelection);
  draw();
  return () => {
    model.off("change:data", draw);
    model.off("change:selected", showSelection);
  };
}

export default { render };

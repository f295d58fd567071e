/**
 * The cells of the map: a table a procedure, a button a training.
 *
 * @typedef {Object} Metric
 * @property {string} key
 * @property {string} title
 * @property {string} least   words at the end of the colours for better
 * @property {string} most    and at that for worse
 *
 * @typedef {Object} Cell
 * @property {string} procedure
 * @property {number} step_size   Å²/eV
 * @property {number} steps       K
 * @property {string} condition
 * @property {string} title
 * @property {string} words
 * @property {Object<string, string>} labels   metric -> change in words
 * @property {Object<string, number | null>} levels   metric -> -1 (best) to 1 (worst)
 * @property {(number | null)[]} losses   one an update
 * @property {number[]} stages            updates after which paths were taken
 * @property {([number, number] | null)[][][]} paths   stage, walker, step
 * @property {string} ground              base64, or ""
 */
import { css, inkOn, mix, rgb } from "../shared/colour.js";
import { tag } from "../shared/dom.js";

const SHORT = { "arrives": "in", "too short": "short", "beyond the stable step": "beyond" };

/**
 * @param {import("./index.js").Data} data
 * @param {Metric} metric
 * @param {number} selected  index of a cell, or -1
 * @param {(index: number) => void} choose
 * @returns {HTMLTableElement[]}
 */
export function tablesOf(data, metric, selected, choose) {
  const tables = data.procedures.map((procedure) => tableOf(data, procedure, metric, selected, choose));
  const first = tables[0]?.querySelector("button");
  if (first && !tables.some((table) => table.querySelector("[tabindex='0']"))) first.tabIndex = 0;
  return tables;
}

/**
 * @param {import("./index.js").Data} data
 * @param {string} procedure
 * @param {Metric} metric
 * @param {number} selected
 * @param {(index: number) => void} choose
 */
function tableOf(data, procedure, metric, selected, choose) {
  const rows = [...data.step_sizes].reverse().map((size) => tag("tr", {},
    tag("th", { scope: "row" }, String(size)),
    ...data.steps.map((steps) => {
      const index = data.cells.findIndex((cell) =>
        cell.procedure === procedure && cell.step_size === size && cell.steps === steps);
      return tag("td", {}, ...(index < 0 ? [] : [cellButton(data, index, metric, index === selected, choose)]));
    })));
  const head = tag("tr", {}, tag("th", { scope: "col", title: "step size η in Å²/eV, steps K" }, "η \\ K"),
    ...data.steps.map((steps) => tag("th", { scope: "col" }, String(steps))));
  return tag("table", {}, tag("caption", {}, tag("b", {}, procedure), ` ${data.limits[procedure] ?? ""}`),
    tag("thead", {}, head), tag("tbody", {}, ...rows));
}

/**
 * @param {import("./index.js").Data} data
 * @param {number} index
 * @param {Metric} metric
 * @param {boolean} chosen
 * @param {(index: number) => void} choose
 */
function cellButton(data, index, metric, chosen, choose) {
  const cell = data.cells[index];
  const element = tag("button", {
    type: "button", tabindex: chosen ? 0 : -1, "aria-pressed": chosen, "data-cell": index,
    class: SHORT[/** @type {keyof typeof SHORT} */ (cell.condition)] ?? "",
    title: `${cell.title} (${cell.condition}): ${cell.words}`,
    "aria-label": `${cell.title}, ${metric.title} ${cell.labels[metric.key]}, ${cell.condition}`,
  }, cell.labels[metric.key]);
  const level = cell.levels[metric.key];
  if (level !== null) {
    const end = rgb(level < 0 ? data.colours.better : data.colours.worse);
    const part = 0.08 + 0.92 * Math.abs(level);
    const paper = mix([255, 255, 255], end, part);
    element.style.background = css(paper);
    element.style.color = inkOn(paper);
  }
  element.addEventListener("click", () => choose(index));
  element.addEventListener("keydown", (event) => onKey(event, element, choose, index));
  return element;
}

/**
 * Arrow keys go from cell to cell, into the next table too; Enter chooses, Escape lets go.
 * @param {KeyboardEvent} event
 * @param {HTMLElement} element
 * @param {(index: number) => void} choose
 * @param {number} index
 */
function onKey(event, element, choose, index) {
  const moves = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };
  const move = moves[/** @type {keyof typeof moves} */ (event.key)];
  if (move) neighbour(element, move[0], move[1])?.focus();
  else if (event.key === "Enter" || event.key === " ") choose(index);
  else if (event.key === "Escape") choose(-1);
  else return;
  event.preventDefault();
  event.stopPropagation(); // the notebook has uses of its own for these keys
}

/**
 * The button so many rows and columns away; columns go on in the next table.
 * @param {HTMLElement} element
 * @param {number} down
 * @param {number} right
 * @returns {HTMLElement | undefined}
 */
function neighbour(element, down, right) {
  const all = element.closest(".tables");
  const row = element.closest("tr")?.rowIndex ?? 0;
  const wanted = row + down;
  const line = [...(all?.querySelectorAll("tr") ?? [])].filter((one) => one.rowIndex === wanted)
    .flatMap((one) => [...one.querySelectorAll("button")]);
  const mine = [...(all?.querySelectorAll("tr") ?? [])].filter((one) => one.rowIndex === row)
    .flatMap((one) => [...one.querySelectorAll("button")]);
  const target = line[mine.indexOf(/** @type {HTMLButtonElement} */ (element)) + right];
  if (target) {
    for (const other of all?.querySelectorAll("button") ?? []) other.tabIndex = -1;
    target.tabIndex = 0;
  }
  return target;
}

/**
 * What colours and borders mean.
 * @param {import("./index.js").Data} data
 * @param {Metric} metric
 */
export function legendOfCells(data, metric) {
  const { better, worse } = data.colours;
  const scale = tag("span", { class: "scale", "aria-hidden": "true",
                              style: `background: linear-gradient(to right, ${better}, #fff, ${worse})` });
  const seen = new Set(data.cells.map((cell) => cell.condition));
  const borders = Object.entries(data.conditions).filter(([name]) => seen.has(name)).map(([name, words]) =>
    tag("li", {}, tag("span", { class: `swatch ${SHORT[/** @type {keyof typeof SHORT} */ (name)]}`, "aria-hidden": "true" }),
      tag("b", {}, name), `: ${words}`));
  return tag("ul", { class: "legend" },
    tag("li", {}, `${metric.title}: ${metric.least} `, scale, ` ${metric.most}`), ...borders);
}

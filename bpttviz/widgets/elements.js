/** What more than one widget needs to build its page and to talk to its model. */

/** An HTML element with attributes and children. */
export function tag(name, attributes = {}, ...children) {
  return dress(document.createElement(name), attributes, children);
}

/** An SVG element with attributes and children. */
export function svg(name, attributes = {}, ...children) {
  return dress(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

function dress(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** A button that says what it does to those who point at it and to those who cannot see it. */
export function button(text, words, onClick) {
  const element = tag("button", { type: "button", title: words, "aria-label": words }, text);
  element.addEventListener("click", onClick);
  return element;
}

/**
 * A function that passes on the last of many calls, four times a second: JupyterLab repaints its
 * status at every message, and that would cost more than a frame. Its `forget` drops a call that
 * has not been passed on yet.
 */
export function seldom(tell) {
  let due = null, last = -Infinity, latest;
  const later = (value) => {
    latest = value;
    due ??= setTimeout(() => {
      due = null;
      last = performance.now();
      tell(latest);
    }, Math.max(0, last + 250 - performance.now()));
  };
  later.forget = () => {
    clearTimeout(due);
    due = null;
  };
  return later;
}

/**
 * Calls `onChange` when colours may have changed: with the notebook's theme, or the system's.
 * @returns {() => void} stops watching
 */
export function onTheme(onChange) {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const notebook = new MutationObserver(onChange);
  notebook.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light"] });
  system.addEventListener("change", onChange);
  return () => {
    notebook.disconnect();
    system.removeEventListener("change", onChange);
  };
}

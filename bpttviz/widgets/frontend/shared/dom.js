/** Elements of a page, and what all widgets ask of them. */

/**
 * @typedef {Object<string, string | number | boolean>} Attributes
 */

/**
 * An HTML element with attributes and children.
 * @template {keyof HTMLElementTagNameMap} Name
 * @param {Name} name
 * @param {Attributes} [attributes]
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[Name]}
 */
export function tag(name, attributes = {}, ...children) {
  return setAttributes(document.createElement(name), attributes, children);
}

/**
 * An SVG element with attributes and children.
 * @template {keyof SVGElementTagNameMap} Name
 * @param {Name} name
 * @param {Attributes} [attributes]
 * @param {...(Node | string)} children
 * @returns {SVGElementTagNameMap[Name]}
 */
export function svg(name, attributes = {}, ...children) {
  return setAttributes(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

/**
 * @template {Element} E
 * @param {E} element
 * @param {Attributes} attributes
 * @param {(Node | string)[]} children
 * @returns {E} the element itself
 */
function setAttributes(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  element.append(...children);
  return element;
}

/**
 * A button that says what it does to those who point at it and to those who cannot see it.
 * @param {string} text
 * @param {string} words
 * @param {() => void} onClick
 */
export function button(text, words, onClick) {
  const element = tag("button", { type: "button", title: words, "aria-label": words }, text);
  element.addEventListener("click", onClick);
  return element;
}

/**
 * A button that stays down.
 * @param {string} text
 * @param {string} words
 * @param {boolean} pressed        at first
 * @param {(down: boolean) => void} onChange
 */
export function toggleButton(text, words, pressed, onChange) {
  const element = button(text, words, () => {
    const down = element.getAttribute("aria-pressed") !== "true";
    element.setAttribute("aria-pressed", String(down));
    onChange(down);
  });
  element.setAttribute("aria-pressed", String(pressed));
  return element;
}

/**
 * Write a text where it is another one: the same one again would be laid out and painted again.
 * @param {Element} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element.textContent !== text) element.replaceChildren(...typeset(text));
}

/** In plain text a root is written "^½", as in "amu^½ Å"; where it can be seen it is raised. */
const ROOT = "^½";

/**
 * A text with its roots raised. It reads, and is copied, as it was written: the "^" stays, unseen.
 * @param {string} text
 * @returns {(Node | string)[]}
 */
export function typeset(text) {
  const [first, ...others] = text.split(ROOT);
  return [first, ...others.flatMap((part) => [
    tag("span", { style: "font-size:0" }, "^"), tag("sup", { style: "font-size:0.75em;line-height:0" }, "½"), part,
  ])];
}

/**
 * The same for an SVG text.
 * @param {string} text
 * @returns {(Node | string)[]}
 */
export function typesetSvg(text) {
  const [first, ...others] = text.split(ROOT);
  return [first, ...others.flatMap((part) => [
    svg("tspan", { style: "font-size:0" }, "^"), svg("tspan", { style: "font-size:0.75em", dy: -4 }, "½"),
    svg("tspan", { dy: 4 }, part),
  ])];
}

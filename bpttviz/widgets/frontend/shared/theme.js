/**
 * Calls `onChange` when colours may have changed: with the notebook's theme, or the system's.
 * @param {() => void} onChange
 * @returns {() => void} stops watching
 */
export function onThemeChange(onChange) {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const notebook = new MutationObserver(onChange);
  notebook.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light"] });
  system.addEventListener("change", onChange);
  return () => {
    notebook.disconnect();
    system.removeEventListener("change", onChange);
  };
}

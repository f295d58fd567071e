const JUPYTER_PATIENCE = 4000; // milliseconds for a page that runs Jupyter to bring the widget

/**
 * Put a view in place of the picture in `el`, unless the live widget that it stands in for is in
 * the page or comes within a few seconds: then the picture stays, folded away.
 * @param {HTMLElement} el
 * @param {string} live  name of that widget's model, which its element carries as `data-model`; or ""
 * @param {(el: HTMLElement) => void} mountView  makes the view
 */
export async function mountUnlessLive(el, live, mountView) {
  const fold = el.closest("details");
  const found = () => live && document.querySelector(`[data-model="${live}"]`);
  // Only a page that runs Jupyter can still bring the widget.
  const until = performance.now() + (document.getElementById("jupyter-config-data") ? JUPYTER_PATIENCE : 0);
  while (!found() && performance.now() < until) await new Promise((resolve) => setTimeout(resolve, 100));
  if (!found()) mountView(el);
  else if (fold) fold.open = false;
}

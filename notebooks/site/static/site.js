// The theme's button decides for the widgets too: they follow data-jp-theme-light, as in JupyterLab.
(() => {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const follow = () => {
    const chosen = document.body.dataset.theme;
    const dark = chosen === "dark" || (chosen !== "light" && system.matches);
    document.body.dataset.jpThemeLight = String(!dark);
  };
  const begin = () => {
    follow();
    new MutationObserver(follow).observe(document.body, { attributeFilter: ["data-theme"] });
    system.addEventListener("change", follow);
  };
  if (document.body) begin();
  else document.addEventListener("DOMContentLoaded", begin);
})();

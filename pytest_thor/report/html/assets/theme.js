// Light, dark, or as the system; remembered where the browser allows it.
(() => {
  const SIGNS = { auto: "◐ auto", light: "☀ light", dark: "☾ dark" };
  const button = document.getElementById("theme");
  const root = document.documentElement;

  function set(theme) {
    if (theme === "auto") delete root.dataset.theme;
    else root.dataset.theme = theme;
    button.textContent = SIGNS[theme];
    button.setAttribute("aria-label", theme === "auto" ? "Colours: as the system" : `Colours: ${theme}`);
  }

  function remembered() {
    try { return localStorage.getItem("pytest-thor-theme"); } catch { return null; }
  }

  button.addEventListener("click", () => {
    const themes = Object.keys(SIGNS);
    const next = themes[(themes.indexOf(root.dataset.theme ?? "auto") + 1) % themes.length];
    set(next);
    try { localStorage.setItem("pytest-thor-theme", next); } catch { /* a file may have no storage */ }
  });
  const first = remembered();
  set(first in SIGNS ? first : "auto");
})();

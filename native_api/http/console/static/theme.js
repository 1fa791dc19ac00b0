// The colours of Airflow's pages: what their switch has stored, else what the system prefers.
(function () {
  "use strict";
  function chosen() {
    try {
      const newer = localStorage.getItem("theme");
      if (newer === "light" || newer === "dark") return newer;
      const older = localStorage.getItem("darkTheme");
      if (newer === null && (older === "true" || older === "false")) return older === "true" ? "dark" : "light";
    } catch {
      // A browser may deny pages their storage.
    }
    return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  }
  function apply() {
    document.documentElement.dataset.theme = chosen();
  }
  apply();
  addEventListener("storage", apply);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", apply);
})();

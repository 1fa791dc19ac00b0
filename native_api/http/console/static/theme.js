// The theme of Airflow's pages: the one that they have stored, otherwise that of the system.
(function () {
  "use strict";
  function chosen() {
    try {
      const newer = localStorage.getItem("theme");
      if (newer === "light" || newer === "dark") return newer;
      const older = localStorage.getItem("darkTheme");
      if (newer === null && (older === "true" || older === "false")) return older === "true" ? "dark" : "light";
    } catch {
      // A browser can deny access to the storage.
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

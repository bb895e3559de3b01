/**
 * Light, dark, or as the reader's system is: before anything is drawn, so that nothing flashes. Not a module for that reason.
 */
(() => {
  const chosen = localStorage.getItem("culvert.theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset["theme"] = chosen;
})();

/** The reader's choice of light or dark: kept in this browser, applied by `../theme.js` the next time. */

import { h, icon, replaceChildren } from "./dom.js";

/** @typedef {"auto" | "light" | "dark"} Theme */

const KEY = "culvert.theme";

/** @type {Record<Theme, { next: Theme, label: string, icon: import("./dom.js").IconName }>} */
const themes = {
  auto: { next: "light", label: "Colours: as your system", icon: "auto" },
  light: { next: "dark", label: "Colours: light", icon: "sun" },
  dark: { next: "auto", label: "Colours: dark", icon: "moon" },
};

/** A button that goes through them. */
export function themeButton() {
  const element = h("button", { type: "button", class: "plain" });
  const show = () => {
    const { label, icon: name } = themes[current()];
    element.setAttribute("aria-label", label);
    element.title = label;
    replaceChildren(element, icon(name));
  };
  element.addEventListener("click", () => {
    choose(themes[current()].next);
    show();
  });
  show();
  return element;
}

/** @returns {Theme} */
function current() {
  const { theme } = document.documentElement.dataset;
  return theme === "light" || theme === "dark" ? theme : "auto";
}

/** @param {Theme} theme */
function choose(theme) {
  if (theme === "auto") {
    delete document.documentElement.dataset["theme"];
    localStorage.removeItem(KEY);
  } else {
    document.documentElement.dataset["theme"] = theme;
    localStorage.setItem(KEY, theme);
  }
  document.dispatchEvent(new Event("themechange"));
}

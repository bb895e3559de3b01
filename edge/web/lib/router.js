/**
 * Pages by the address's fragment: `#/share`, `#/admin/audit`. Each is shown with a signal that aborts when it is left, so
 * that nothing of it goes on.
 */

/**
 * @typedef {{ path: string, title: string, show: (signal: AbortSignal) => Node }} Route
 */

/**
 * @param {{
 *   routes: () => readonly Route[],
 *   place: HTMLElement,
 *   changed: (route: Route) => void,
 *   signal?: AbortSignal,
 * }} options `routes`: the first is where an unknown address leads; `signal`: when pages are shown no more
 */
export function createRouter({ routes, place, changed, signal }) {
  /** @type {AbortController | undefined} */
  let leaving;

  /** @param {{ isFirst?: boolean }} [options] */
  function show({ isFirst = false } = {}) {
    const path = location.hash.replace(/^#/, "");
    const all = routes();
    const route = all.find((each) => each.path === path) ?? all[0];
    if (!route) return;
    if (route.path !== path) history.replaceState(null, "", `#${route.path}`);
    leaving?.abort();
    // Back, on a phone, is pressed to be rid of a dialog as well.
    for (const dialog of document.querySelectorAll("dialog")) dialog.close();
    leaving = new AbortController();
    place.replaceChildren(route.show(leaving.signal));
    document.title = `${route.title} · Culvert`;
    changed(route);
    // Who is read to learns that the page is another; at the very start the browser says so itself.
    if (!isFirst) place.querySelector("h1")?.focus({ preventScroll: true });
    scrollTo(0, 0);
  }

  addEventListener("hashchange", () => {
    if (location.hash.startsWith("#/")) show();
  }, signal && { signal });
  signal?.addEventListener("abort", () => leaving?.abort(), { once: true });
  return { show, leave: () => leaving?.abort() };
}

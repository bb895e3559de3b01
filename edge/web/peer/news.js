/**
 * What happens at this peer server, as it tells it: `changed` and `transfer` events. The browser connects again by itself; what
 * happened meanwhile is not told, so being connected again counts as a change.
 */

/**
 * While the page can be seen: a browser has few connections to one server for all its tabs.
 * @param {Partial<Record<"changed" | "transfer", () => void>>} listeners
 * @param {AbortSignal} signal
 */
export function follow(listeners, signal) {
  /** @type {EventSource | undefined} */
  let events;
  let wasAway = document.visibilityState !== "visible";

  function connect() {
    events = new EventSource("/api/events");
    for (const [name, listener] of Object.entries(listeners)) events.addEventListener(name, listener);
    events.addEventListener("error", () => wasAway = true);
    events.addEventListener("open", () => {
      if (wasAway) { for (const listener of Object.values(listeners)) listener(); }
      wasAway = false;
    });
  }

  function disconnect() {
    events?.close();
    events = undefined;
    wasAway = true;
  }

  if (document.visibilityState === "visible") connect();
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState !== "visible") disconnect();
    else if (!events) connect();
  }, { signal });
  signal.addEventListener("abort", disconnect, { once: true });
}

/**
 * Calls no more often than that, and always after the last time it was asked to.
 * @param {() => unknown} work
 * @param {number} apartMs
 * @param {AbortSignal} signal
 */
export function atMostEvery(work, apartMs, signal) {
  /** @type {number | undefined} */
  let timer;
  signal.addEventListener("abort", () => clearTimeout(timer), { once: true });
  return () => {
    timer ??= setTimeout(() => {
      timer = undefined;
      work();
    }, apartMs);
  };
}

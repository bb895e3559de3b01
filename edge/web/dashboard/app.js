/**
 * Where the dashboard begins: logs in with what the address carries (`#token=…` or `#session=…`, which is gone from it at once), or
 * takes up the session of this tab, or shows how to log in; then the page that the address names.
 */

import { replaceChildren } from "../lib/dom.js";
import { createRouter } from "../lib/router.js";
import { Client } from "./client.js";
import { frame } from "./frame.js";
import { Live } from "./live.js";
import { loginPage } from "./login_page.js";
import { pageRoutes } from "./routes.js";

/** What an address that lets in ends with. */
const GIVEN = /^#(token|session)=(.+)$/;

const app = /** @type {HTMLElement} */ (document.getElementById("app"));
const client = new Client();
/** What goes on while pages are shown. */
let showing = new AbortController();

/** What is in the address counts, whoever was here before. */
async function start() {
  const given = takeGiven();
  if (!given) return client.isLoggedIn ? showPages() : showLogin();
  try {
    if (given.kind === "session") client.takeUp(given.text);
    else await client.logIn(given.text);
    showPages();
  } catch (error) {
    showLogin({ problem: error instanceof Error ? error.message : String(error) });
  }
}

/** Out of the address. The browser may remember that all the same, so neither is good for long. */
function takeGiven() {
  const [, kind, text] = GIVEN.exec(location.hash) ?? [];
  if (kind === undefined || text === undefined) return undefined;
  history.replaceState(null, "", location.pathname + location.search);
  try {
    return { kind, text: decodeURIComponent(text) };
  } catch {
    return { kind, text };
  }
}

/** @param {{ note?: string, problem?: string }} [why] */
function showLogin(why = {}) {
  showing.abort();
  document.title = "Log in · Culvert";
  replaceChildren(app, loginPage({ client, ...why, done: showPages }));
  app.querySelector("input")?.focus();
}

function showPages() {
  showing.abort();
  showing = new AbortController();
  const { signal } = showing;
  const live = new Live(client, signal);
  const logOut = () => {
    client.logOut();
    showLogin();
  };
  const { element, main, changed } = frame({ live, signal, logOut });
  replaceChildren(app, element);
  client.addEventListener("over", () => showLogin({ note: "Your session is over. Log in again." }), { signal });
  createRouter({ routes: () => pageRoutes({ client, live }), place: main, changed, signal }).show({ isFirst: true });
}

addEventListener("hashchange", () => {
  if (GIVEN.test(location.hash)) void start();
});
void start();

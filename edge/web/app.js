/**
 * Where the pages begin: takes up the sign-in this browser has, or shows how to sign in; then the page that the address
 * names, of those the account's roles allow.
 */

import { createCalls } from "./calls.js";
import { Api } from "./lib/api.js";
import { replaceChildren } from "./lib/dom.js";
import { createRouter } from "./lib/router.js";
import { failure } from "./lib/section.js";
import { shell } from "./parts/shell.js";
import { loginPage } from "./pages/login.js";
import { routesFor } from "./pages/routes.js";

/** @import { InfoView } from "../orchestrator/api.ts" */

const app = /** @type {HTMLElement} */ (document.getElementById("app"));
const calls = createCalls(new Api());

async function start() {
  try {
    // What Telegram hands over in the fragment is a new sign-in, whoever was here before.
    const [info, isSignedIn] = await Promise.all([calls.info(), hasTelegramAnswer() ? false : calls.client.resume()]);
    document.title = info.title;
    if (isSignedIn) showPages(info);
    else showLogin(info);
  } catch (error) {
    replaceChildren(app, failure(error, () => void start()));
  }
}

function hasTelegramAnswer() {
  return /^#tg(AuthResult|WebAppData)=/.test(location.hash);
}

/** @param {InfoView} info */
function showLogin(info) {
  app.replaceChildren(loginPage({ calls, info, done: () => showPages(info) }));
}

/** @param {InfoView} info */
function showPages(info) {
  const { element, main, changed, refresh } = shell({ calls, info });
  app.replaceChildren(element);
  const router = createRouter({
    routes: () =>
      routesFor({
        calls,
        info,
        rolesChanged: async () => {
          await calls.client.resume();
          refresh();
          router.show();
        },
      }),
    place: main,
    changed,
  });
  calls.client.addEventListener("signedout", () => {
    router.leave();
    showLogin(info);
  }, { once: true });
  router.show({ isFirst: true });
}

void start();

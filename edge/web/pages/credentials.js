/**
 * The credentials builder: choose where the traffic is to come out and for how long the same node is kept, copy what a
 * program needs.
 *
 *   choices (`way_form.js`) ─▶ user name ─▶ lines to copy, drawn anew with each choice
 */

import { card, copyable, notice } from "../lib/controls.js";
import { dialog } from "../lib/dialog.js";
import { h, replaceChildren } from "../lib/dom.js";
import { plural } from "../lib/words.js";
import { curlLine, loginName, proxyUrl, SECRET_PLACE } from "./proxy_login.js";
import { wayForm } from "./way_form.js";

/** @import { Place, UserView } from "../../orchestrator/api.ts" */
/** @import { PageContext } from "./routes.js" */
/** @import { Way } from "./way_form.js" */

/**
 * @param {PageContext} context
 * @param {{ account: UserView, places: readonly Place[] }} options
 */
export function credentialsCard(context, { account, places }) {
  const lines = h("div", { class: "lines", role: "region", "aria-label": "What a program needs" });
  const state = { account, secret: SECRET_PLACE };
  const { form, way } = wayForm({ places, changed: draw });

  function draw() {
    const wanted = way();
    if (!wanted) {
      replaceChildren(
        lines,
        notice("warn", "A session is 1 to 32 letters, digits and underscores; the id of a node has 26 letters."),
      );
      return;
    }
    replaceChildren(lines, linesOf(context, { ...state, wanted, newSecret }));
  }

  async function newSecret() {
    const secret = await askForSecret(context, state.account);
    if (secret === undefined) return;
    Object.assign(state, { secret, account: { ...state.account, hasProxySecret: true } });
    draw();
    lines.prepend(notice("warn", "Keep the secret now: it is shown until you leave this page, and never again."));
  }

  draw();
  const open = places.reduce((sum, { nodes }) => sum + nodes, 0);
  return card(
    "Credentials",
    h("span", { class: "soft small-text" }, open === 0 ? "no node is open now" : `${plural(open, "node")} open now`),
    open === 0 &&
      notice(
        "warn",
        "No node takes connections at the moment: programs are answered “502 Bad Gateway” until one does.",
      ),
    h("div", { class: "halves" }, form, lines),
  );
}

/**
 * @param {PageContext} context
 * @param {{ account: UserView, secret: string, wanted: Way, newSecret: () => Promise<void> }} options
 */
function linesOf({ info }, { account, secret, wanted, newSecret }) {
  const login = loginName({ ...wanted, userId: account.userId });
  const use = { ...info.proxy, login, secret };
  return [
    line("Server", `${info.proxy.host}:${info.proxy.port}`),
    line("User name", login),
    secret === SECRET_PLACE ? secretLine(account, newSecret) : line("Secret", secret, true),
    line("Address", proxyUrl(wanted.scheme, use)),
    line("Try it", curlLine(wanted.scheme, use)),
  ];
}

/**
 * @param {UserView} account
 * @param {() => Promise<void>} newSecret
 */
function secretLine({ hasProxySecret }, newSecret) {
  return h(
    "div",
    {},
    h("p", { class: "line-name" }, "Secret"),
    h(
      "div",
      { class: "actions" },
      h("button", {
        type: "button",
        class: hasProxySecret ? "small" : "primary",
        on: { click: () => void newSecret() },
      }, hasProxySecret ? "Make a new one" : "Make your secret"),
      h(
        "span",
        { class: "soft small-text" },
        hasProxySecret ? "The one you have cannot be shown again." : "Without one, no program gets in.",
      ),
    ),
  );
}

/**
 * @param {PageContext} context
 * @param {UserView} account
 * @returns {Promise<string | undefined>}
 */
async function askForSecret({ calls }, { hasProxySecret }) {
  /** @type {string | undefined} */
  let secret;
  await dialog({
    title: "New proxy secret",
    body: h(
      "p",
      {},
      hasProxySecret
        ? "The secret you have stops working at once: every program that uses it must be given the new one."
        : "Programs log in to the proxy with it. It is shown once.",
    ),
    action: "Make it",
    submit: async () => {
      secret = (await calls.newProxySecret({})).secret;
    },
  });
  return secret;
}

/**
 * @param {string} name
 * @param {string} text
 * @param {boolean} [isSecret]
 */
function line(name, text, isSecret = false) {
  return h("div", {}, h("p", { class: "line-name" }, name), copyable(name.toLowerCase(), text, { isSecret }));
}

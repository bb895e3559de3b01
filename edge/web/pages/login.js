/**
 * The page of whoever is not signed in: by Telegram, with an account's secret, or with an invitation, which opens an account
 * and shows its secret once.
 */

import { copyable, field, notice } from "../lib/controls.js";
import { valuesOf, whileBusy } from "../lib/dialog.js";
import { h, replaceChildren } from "../lib/dom.js";
import { themeButton } from "../lib/theme.js";
import { telegramAnswer, telegramLoginUrl } from "./telegram.js";

/** @import { InfoView } from "../../orchestrator/api.ts" */
/** @import { Calls } from "../calls.js" */
/** @import { Child } from "../lib/dom.js" */

/**
 * @param {{ calls: Calls, info: InfoView, done: () => void }} options
 */
export function loginPage({ calls, info, done }) {
  const card = h("div", { class: "card" });
  const showSignIn = () => replaceChildren(card, signIn({ calls, info, done, toInvitation: showInvitation }));
  const showInvitation = () => replaceChildren(card, invitation({ calls, done, back: showSignIn }));
  const answer = telegramAnswer(location.hash);
  if (answer) void byTelegram(answer);
  else showSignIn();

  /** @param {NonNullable<ReturnType<typeof telegramAnswer>>} answer */
  async function byTelegram(answer) {
    // Not to be sent again by a reload, nor seen by who looks at the address.
    history.replaceState(null, "", location.pathname);
    replaceChildren(card, h("p", { role: "status" }, "Signing in by Telegram…"));
    try {
      calls.client.signIn(await calls.logInByTelegram(answer));
      done();
    } catch (error) {
      showSignIn();
      card.prepend(refusal(error));
    }
  }

  return h(
    "main",
    { class: "login", id: "main" },
    h("p", { class: "brand" }, h("img", { src: "/web/icon.svg", alt: "" }), info.title),
    card,
    h("p", { class: "foot" }, h("a", { href: "/api" }, "API"), " · version ", info.version, " ", themeButton()),
  );
}

/**
 * @param {{ calls: Calls, info: InfoView, done: () => void, toInvitation: () => void }} options
 * @returns {Child}
 */
function signIn({ calls, info, done, toInvitation }) {
  const telegram = telegramLoginUrl(info.telegramBotId);
  return [
    h("h1", { tabindex: "-1" }, "Sign in"),
    telegram && [h("a", { class: "button", href: telegram }, "Continue with Telegram"), h("p", { class: "or" }, "or")],
    form({
      fields: [
        field(
          "Account",
          h("input", {
            name: "userId",
            autocomplete: "username",
            required: true,
            pattern: "\\s*[a-zA-Z2-7]{12}\\s*",
            title: "12 letters and digits",
            spellcheck: "false",
            autocapitalize: "none",
          }),
          "The 12 letters and digits you were given when it was opened.",
        ),
        field(
          "Secret",
          h("input", { name: "secret", type: "password", autocomplete: "current-password", required: true }),
        ),
      ],
      action: "Sign in",
      submit: async ({ userId = "", secret = "" }) => {
        calls.client.signIn(await calls.logIn({ userId: userId.trim().toLowerCase(), secret: secret.trim() }));
        done();
      },
    }),
    h(
      "p",
      { class: "foot" },
      info.signUp === "open" && telegram ? "Telegram opens an account if you have none. " : "New here? ",
      h("button", { type: "button", class: "switch", on: { click: toInvitation } }, "I have an invitation"),
    ),
  ];
}

/**
 * @param {{ calls: Calls, done: () => void, back: () => void }} options
 * @returns {Child}
 */
function invitation({ calls, done, back }) {
  const place = h(
    "div",
    { class: "stack" },
    h("h1", { tabindex: "-1" }, "Open an account"),
    form({
      fields: [
        field(
          "Invitation",
          h("input", { name: "invitation", required: true, maxlength: 64, autocomplete: "off", spellcheck: "false" }),
          "The code you were sent. It counts once.",
        ),
        field(
          "Your name",
          h("input", { name: "name", required: true, maxlength: 64, autocomplete: "name" }),
          "Whoever runs this orchestrator sees it.",
        ),
      ],
      action: "Open account",
      submit: async ({ invitation = "", name = "" }) => {
        const opened = await calls.openAccount({ invitation: invitation.trim(), name: name.trim() });
        calls.client.signIn(opened);
        replaceChildren(place, keepSecret(opened.user.userId, opened.secret, done));
        place.querySelector("h1")?.focus();
      },
    }),
    h(
      "p",
      { class: "foot" },
      h("button", { type: "button", class: "switch", on: { click: back } }, "Back to signing in"),
    ),
  );
  return place;
}

/**
 * @param {string} userId
 * @param {string} secret
 * @param {() => void} done
 * @returns {Child}
 */
function keepSecret(userId, secret, done) {
  return [
    h("h1", { tabindex: "-1" }, "Your account is open"),
    notice(
      "warn",
      "Keep these two, for instance in a password manager. The secret is shown this once: nobody can tell it to you again.",
    ),
    h("div", {}, h("p", { class: "line-name" }, "Account"), copyable("account", userId)),
    h("div", {}, h("p", { class: "line-name" }, "Secret"), copyable("secret", secret, { isSecret: true })),
    h("button", { type: "button", class: "primary", on: { click: done } }, "I have kept them"),
  ];
}

/**
 * @param {{ fields: Child[], action: string, submit: (values: Record<string, string>) => Promise<void> }} options
 */
function form({ fields, action, submit }) {
  const button = h("button", { type: "submit", class: "primary" }, action);
  const place = h("div", { role: "alert" });
  return h(
    "form",
    {
      on: {
        submit: async (event) => {
          event.preventDefault();
          place.replaceChildren();
          const element = /** @type {HTMLFormElement} */ (event.currentTarget);
          await whileBusy(button, () => submit(valuesOf(element))).catch((error) =>
            place.replaceChildren(refusal(error))
          );
        },
      },
    },
    fields,
    place,
    button,
  );
}

/** @param {unknown} error */
function refusal(error) {
  return notice("bad", error instanceof Error ? error.message : String(error));
}

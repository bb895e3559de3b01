/** Logging in with the administrators' token. */

import { field } from "../lib/controls.js";
import { whileBusy } from "../lib/dialog.js";
import { h } from "../lib/dom.js";

/** @import { Client } from "./client.js" */

/**
 * @param {{ client: Client, note?: string | undefined, problem?: string | undefined, done: () => void }} options `note`: why
 *   one is asked again
 */
export function loginPage({ client, note, problem, done }) {
  const token = h("input", {
    type: "password",
    name: "token",
    autocomplete: "current-password",
    spellcheck: "false",
    required: true,
  });
  const alert = h("p", { class: "notice bad", role: "alert", hidden: problem === undefined }, problem);
  const submit = h("button", { type: "submit", class: "primary" }, "Log in");
  const form = h(
    "form",
    {},
    note !== undefined && h("p", { class: "notice info", role: "status" }, note),
    field("Administrators' token", token, "The supernode or base that you look at was started with it, or made it."),
    alert,
    submit,
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    alert.hidden = true;
    try {
      await whileBusy(submit, () => client.logIn(token.value.trim()));
      done();
    } catch (error) {
      alert.textContent = error instanceof Error ? error.message : String(error);
      alert.hidden = false;
      token.select();
    }
  });
  return h(
    "main",
    { class: "login", id: "main", tabindex: "-1" },
    h("p", { class: "brand" }, h("img", { src: "/web/icon.svg", alt: "" }), "Culvert"),
    h("section", { class: "card" }, h("h1", {}, "Dashboard"), form),
    h(
      "p",
      { class: "foot" },
      h("code", {}, "culvert admin dashboard"),
      " on that machine, and ",
      h("code", {}, "culvert up"),
      ", print an address that logs in by itself.",
    ),
  );
}

/** The choices of the credentials builder: where traffic comes out, and for how long it is by the same node. */

import { checkbox, field, select } from "../lib/controls.js";
import { valuesOf } from "../lib/dialog.js";
import { h, replaceChildren } from "../lib/dom.js";
import { country as countryName, properName } from "../lib/words.js";

/** @import { Place } from "../../orchestrator/api.ts" */
/** @import { LoginChoice } from "./proxy_login.js" */

/** @typedef {Omit<LoginChoice, "userId"> & { scheme: "socks5h" | "http" }} Way */

/** What a login without a ttl means. */
const DEFAULT_TTL = "10";
/** Of what may be in a session's name: those that are not mistaken for each other. */
const LETTERS = "abcdefghijkmnpqrstuvwxyz23456789";

/**
 * @param {{ places: readonly Place[], changed: () => void }} options
 */
export function wayForm({ places, changed }) {
  const form = h("form", { class: "stack", "aria-label": "What way is wanted" });
  const country = select("country", [{ value: "", label: "Any country" }, ...countries(places)]);
  const city = select("city", citiesOf(places, ""));
  const ttl = select("ttl", ttls, { value: DEFAULT_TTL });
  const session = sessionInput();
  const strict = checkbox("strict", "Fail rather than switch", {
    hint: "When the session's node goes: an error instead of another node and another address.",
  });
  const changedHere = () => {
    ttl.disabled = session.value === "";
    for (const box of strict.getElementsByTagName("input")) box.disabled = session.value === "";
    changed();
  };
  country.addEventListener("change", () => {
    replaceChildren(city, optionsOf(citiesOf(places, country.value)));
    changedHere();
  });
  const makeUp = h("button", {
    type: "button",
    "aria-label": "Make up a session",
    on: {
      click: () => {
        session.value = randomSession();
        changedHere();
      },
    },
  }, "Make up");
  form.append(
    h(
      "div",
      { class: "fields" },
      field("Country", country),
      field("City", city),
      field("Region", select("region", [{ value: "", label: "Any region" }, ...regions(places)])),
      field(
        "Program speaks",
        select("scheme", [{ value: "socks5h", label: "SOCKS5" }, { value: "http", label: "HTTP" }]),
      ),
      withButton(field("Session", session, "The same name keeps the same node."), session, makeUp),
      field("Session is kept", ttl, "Without use; each use begins it anew."),
      field("One node", nodeInput(), "This one and no other."),
    ),
    strict,
  );
  form.addEventListener("input", changedHere);
  form.addEventListener("submit", (event) => event.preventDefault());
  ttl.disabled = true;
  for (const box of strict.getElementsByTagName("input")) box.disabled = true;
  return { form, way: () => form.checkValidity() ? wayOf(form) : undefined };
}

/**
 * @param {HTMLFormElement} form
 * @returns {Way}
 */
function wayOf(form) {
  const { country, city, region, node, session, scheme, ttl, strict } = valuesOf(form);
  return {
    country,
    city,
    region,
    node,
    session,
    scheme: scheme === "http" ? "http" : "socks5h",
    ttlMinutes: ttl === undefined || ttl === DEFAULT_TTL ? undefined : Number(ttl),
    isStrict: strict !== undefined,
  };
}

function sessionInput() {
  return h("input", {
    name: "session",
    pattern: "[A-Za-z0-9_]{1,32}",
    maxlength: 32,
    title: "1 to 32 letters, digits and _",
    placeholder: "a node each time",
    autocomplete: "off",
    spellcheck: "false",
  });
}

function nodeInput() {
  return h("input", {
    name: "node",
    pattern: "[a-z2-7]{25}[aeimquy4]",
    maxlength: 26,
    title: "the 26 letters of a node's id",
    placeholder: "any",
    autocomplete: "off",
    spellcheck: "false",
  });
}

/**
 * @param {HTMLElement} element
 * @param {HTMLInputElement} input
 * @param {HTMLButtonElement} button
 */
function withButton(element, input, button) {
  const row = h("div", { class: "with-button" });
  input.replaceWith(row);
  row.append(input, button);
  return element;
}

/** @typedef {{ value: string, label: string }} Choice */

/** @type {readonly Choice[]} */
const ttls = [
  { value: "1", label: "1 minute" },
  { value: "10", label: "10 minutes" },
  { value: "60", label: "1 hour" },
  { value: "360", label: "6 hours" },
  { value: "1440", label: "24 hours" },
];

/** @param {readonly Choice[]} choices */
function optionsOf(choices) {
  return choices.map(({ value, label }) => h("option", { value }, label));
}

/** @param {readonly Place[]} places */
function countries(places) {
  return counted(places, ({ country }) => country, countryName);
}

/** @param {readonly Place[]} places */
function regions(places) {
  return counted(places, ({ region }) => region, (name) => name);
}

/**
 * @param {readonly Place[]} places
 * @param {string} country
 */
function citiesOf(places, country) {
  const here = places.filter((place) => country === "" || place.country === country);
  return [{ value: "", label: "Any city" }, ...counted(here, ({ city }) => city, properName)];
}

/**
 * A choice for each value there is, with how many nodes have it.
 * @param {readonly Place[]} places
 * @param {(place: Place) => string | undefined} valueOf
 * @param {(value: string) => string} nameOf
 * @returns {Choice[]}
 */
function counted(places, valueOf, nameOf) {
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const place of places) {
    const value = valueOf(place);
    if (value !== undefined) counts.set(value, (counts.get(value) ?? 0) + place.nodes);
  }
  return [...counts].map(([value, nodes]) => ({ value, label: `${nameOf(value)} (${nodes})` }))
    .sort((a, b) => a.label.localeCompare(b.label));
}

function randomSession() {
  return [...crypto.getRandomValues(new Uint8Array(10))].map((byte) => LETTERS[byte % LETTERS.length]).join("");
}

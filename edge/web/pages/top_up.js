/**
 * Paying money in: how much and by whom, then the provider's own page.
 */

import { field, select } from "../lib/controls.js";
import { dialog } from "../lib/dialog.js";
import { h } from "../lib/dom.js";
import { bytesFor, micros, money, parseMicros } from "../lib/money.js";
import { bytes } from "../lib/words.js";

/** @import { PriceView } from "../../orchestrator/api.ts" */
/** @import { PageContext } from "./routes.js" */

/** @type {Record<string, string>} */
const providers = { stripe: "Card (Stripe)", telegram: "Telegram" };

/**
 * @param {PageContext} context
 * @param {readonly PriceView[]} prices
 */
export async function topUpDialog({ calls, info }, prices) {
  const least = micros(info.smallestTopUp);
  const amount = amountInput(info.smallestTopUp);
  const worth = h("p", { class: "soft", role: "status" });
  const show = () => {
    const value = parseMicros(amount.value);
    worth.textContent = value === undefined || value < least ? "" : worthText(value, prices);
  };
  amount.addEventListener("input", show);
  show();
  await dialog({
    title: "Top up",
    action: "Go to payment",
    body: [
      field(`Amount in ${info.currency.toUpperCase()}`, amount, `${money(least, info.currency)} at least`),
      field(
        "Pay by",
        select("provider", info.paymentProviders.map((name) => ({ value: name, label: providers[name] ?? name }))),
      ),
      worth,
      h(
        "p",
        { class: "soft" },
        "You pay on the provider's own page. The money is here as soon as they say it was paid.",
      ),
    ],
    submit: async ({ amount = "", provider = "" }) => {
      if ((parseMicros(amount) ?? 0n) < least) {
        throw new Error(`The amount must be at least ${money(least, info.currency)}.`);
      }
      const { url } = await calls.topUp({ provider, amount });
      leaveFor(url);
    },
  });
}

/**
 * @param {bigint} amount
 * @param {readonly PriceView[]} prices
 */
export function worthText(amount, prices) {
  if (amount <= 0n) return "";
  const all = prices.flatMap(({ perGib }) => bytesFor(amount, micros(perGib)) ?? []).sort((a, b) => a < b ? -1 : 1);
  const [least] = all;
  const most = all.at(-1);
  if (least === undefined || most === undefined) return "";
  const range = bytes(least) === bytes(most) ? bytes(least) : `${bytes(least)} to ${bytes(most)}, by region`;
  return `Enough for about ${range}.`;
}

/**
 * A field for an amount: text, since a number field would round it.
 * @param {string} value
 */
export function amountInput(value) {
  return h("input", {
    name: "amount",
    value,
    required: true,
    inputmode: "decimal",
    autocomplete: "off",
    pattern: "(?=.*[1-9])\\d{1,9}(\\.\\d{1,6})?",
    title: "a decimal such as 12.50",
  });
}

/**
 * Only to pages of the web: an address may come from anywhere, and some are programs.
 * @param {string} address
 */
function leaveFor(address) {
  const url = URL.parse(address);
  if (url?.protocol !== "https:" && url?.protocol !== "http:") {
    throw new Error("The provider's address is not one of a web page.");
  }
  location.assign(url);
}

/**
 * The page of whoever uses the proxy: what money there is, what went through, how programs get in.
 */

import { card, figure, notice, sum, when } from "../lib/controls.js";
import { h, icon } from "../lib/dom.js";
import { micros, money } from "../lib/money.js";
import { pagedSection } from "../lib/paged.js";
import { section } from "../lib/section.js";
import { table } from "../lib/table.js";
import { bytes, duration, short } from "../lib/words.js";
import { pageHead } from "../parts/shell.js";
import { credentialsCard } from "./credentials.js";
import { statementCard } from "./statement.js";
import { topUpDialog, worthText } from "./top_up.js";
import { usageCard } from "./usage_chart.js";

/** @import { BalanceView, PriceView, UserView } from "../../orchestrator/api.ts" */
/** @import { PageContext } from "./routes.js" */

const REFRESHED_MS = 15_000;

/** @param {PageContext} context */
export function clientPage(context) {
  const { calls, signal } = context;
  const usage = usageCard(context, { side: "client" });
  const balance = section({
    signal,
    lines: 3,
    everyMs: REFRESHED_MS,
    load: async (signal) => {
      const [balance, account, { prices }] = await Promise.all([
        calls.balance({}, signal),
        calls.account({}, signal),
        calls.prices({}, signal),
      ]);
      return { balance, account, prices: prices.filter(({ tier }) => tier === account.tier) };
    },
    show: (answer) => balanceCard(context, answer),
  });
  const credentials = section({
    signal,
    lines: 8,
    load: async (signal) => {
      const [account, { places }] = await Promise.all([calls.account({}, signal), calls.places({}, signal)]);
      return { account, places };
    },
    show: (answer) => credentialsCard(context, answer),
  });
  return h(
    "div",
    { class: "page" },
    pageHead(
      "Use",
      "Your programs reach the web through nodes of other people. You pay for the bytes that were delivered.",
    ),
    balance.element,
    h("div", { class: "columns" }, usage.card, pricesCard(context)),
    credentials.element,
    statementCard(context, "client").card,
    usesCard(context),
  );
}

/**
 * @param {PageContext} context
 * @param {{ balance: BalanceView, account: UserView, prices: readonly PriceView[] }} answer
 */
function balanceCard(context, { balance, account, prices }) {
  const { info } = context;
  const available = micros(balance.available);
  const topUp = h(
    "button",
    {
      type: "button",
      class: "primary",
      data: { key: "top-up" },
      on: { click: () => void topUpDialog(context, prices) },
    },
    icon("plus"),
    "Top up",
  );
  return card(
    "Balance",
    info.paymentProviders.length > 0
      ? topUp
      : h("span", { class: "soft small-text" }, "whoever runs this orchestrator adds money"),
    account.status === "suspended" &&
      notice(
        "bad",
        h("strong", {}, "Your account is suspended. "),
        account.reason ?? "Ask whoever runs this orchestrator why.",
      ),
    available <= 0n &&
      notice(
        "warn",
        h("strong", {}, "There is nothing left to spend. "),
        "Programs are answered “402 Payment Required” until money is added.",
      ),
    h(
      "div",
      { class: "figures" },
      figure("To spend", sum(balance.available, balance.currency), worthText(available, prices) || undefined),
      figure(
        "Held",
        sum(balance.held, balance.currency),
        "set aside for what goes on now; what is not used comes back",
      ),
      figure("Tier", account.tier, prices.length === 0 ? "no price is set for it yet" : undefined),
    ),
  );
}

/** @param {PageContext} context */
function pricesCard({ calls, info, signal }) {
  const { element } = section({
    signal,
    lines: 4,
    load: async (signal) => {
      const [{ prices }, { places }, account] = await Promise.all([
        calls.prices({}, signal),
        calls.places({}, signal),
        calls.account({}, signal),
      ]);
      return prices.filter(({ tier }) => tier === account.tier).map((price) => ({
        ...price,
        nodes: places.filter(({ region }) => region === price.region).reduce((sum, { nodes }) => sum + nodes, 0),
      }));
    },
    show: (rows) =>
      table({
        caption: "Prices by region",
        isSmall: true,
        rows,
        none: "No prices are set for your tier",
        columns: [
          { title: "Region", cell: ({ region }) => region, sortBy: ({ region }) => region },
          { title: "Nodes", isNumber: true, cell: ({ nodes }) => nodes, sortBy: ({ nodes }) => nodes },
          {
            title: "Per GiB",
            isNumber: true,
            cell: ({ perGib }) => money(perGib, info.currency),
            sortBy: ({ perGib }) => micros(perGib),
          },
        ],
      }),
  });
  return card(
    "Prices",
    undefined,
    element,
    h("p", { class: "soft small-text" }, "Bytes up and down count alike, and only those that arrived."),
  );
}

/** @param {PageContext} context */
function usesCard({ calls, signal }) {
  const sort = { column: -1, descending: false };
  const { element } = pagedSection({
    signal,
    lines: 4,
    load: async (/** @type {string | undefined} */ after, signal) => {
      const { uses, next } = await calls.uses({ limit: 20, after }, signal);
      return { rows: uses, next };
    },
    show: (rows) =>
      table({
        caption: "Nodes your programs went through",
        rows,
        sort,
        none: "Your programs have gone through no node yet",
        columns: [
          { title: "Node", cell: ({ nodeId }) => h("code", { title: nodeId }, short(nodeId)) },
          { title: "Since", cell: ({ startedAtMs }) => when(startedAtMs), sortBy: ({ startedAtMs }) => startedAtMs },
          {
            title: "Lasted",
            cell: ({ startedAtMs, endedAtMs, end }) =>
              endedAtMs === undefined
                ? "goes on"
                : h("span", {}, duration(endedAtMs - startedAtMs), end && h("span", { class: "soft" }, `, ${end}`)),
          },
          {
            title: "Connections",
            isNumber: true,
            cell: ({ streams }) => streams.toLocaleString("en"),
            sortBy: ({ streams }) => streams,
          },
          {
            title: "Down",
            isNumber: true,
            cell: ({ downBytes }) => bytes(downBytes),
            sortBy: ({ downBytes }) => downBytes,
          },
          { title: "Up", isNumber: true, cell: ({ upBytes }) => bytes(upBytes), sortBy: ({ upBytes }) => upBytes },
        ],
      }),
  });
  return card("Sessions", undefined, element);
}

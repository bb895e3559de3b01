/** One account as an admin sees it, and what can be done to it: state, roles, tier, limits, money, logins. */

import { badge, button, field, figure, select, sum } from "../lib/controls.js";
import { dialog } from "../lib/dialog.js";
import { h } from "../lib/dom.js";
import { section } from "../lib/section.js";
import { toast } from "../lib/toast.js";
import { moment } from "../lib/words.js";
import { limitFacts } from "./account.js";
import { fact } from "./node_card.js";
import { amountInput } from "./top_up.js";

/** @import { BalanceView, UserView } from "../../orchestrator/api.ts" */
/** @import { PageContext } from "./routes.js" */

const DAY_MS = 86_400_000;

/**
 * @param {PageContext} context
 * @param {Pick<UserView, "userId" | "name">} account
 * @param {() => Promise<void>} changed
 */
export async function manageAccount(context, { userId, name }, changed) {
  const { calls, signal } = context;
  const { element } = section({
    signal,
    lines: 6,
    class: "stack",
    load: (signal) => calls.user({ userId }, signal),
    show: ({ user, balance }, reload) => [
      accountView(user, balance),
      deeds(context, user, async () => {
        toast("Done");
        await Promise.all([reload(), changed()]);
      }),
    ],
  });
  await dialog({ title: name, action: "Close", body: element });
}

/**
 * @param {UserView} user
 * @param {BalanceView} balance
 */
function accountView(user, balance) {
  return [
    h(
      "div",
      { class: "state" },
      badge(user.status, user.status === "active" ? "good" : "bad"),
      user.roles.map((role) => badge(role, "quiet")),
    ),
    balanceFigures(balance),
    h(
      "dl",
      { class: "facts" },
      fact("Account", h("code", {}, user.userId)),
      fact("Tier", user.tier),
      fact("Opened", moment(user.createdAtMs)),
      user.reason && fact("Reason", user.reason),
      user.payoutHold && fact("Payouts held", `until ${moment(user.payoutHold.untilMs)}: ${user.payoutHold.reason}`),
      limitFacts(user.limits),
    ),
  ];
}

/**
 * @param {PageContext} context
 * @param {UserView} user
 * @param {() => Promise<void>} done
 */
function deeds(context, user, done) {
  /**
   * @param {string} label
   * @param {(context: PageContext, user: UserView) => Promise<boolean>} ask
   */
  const deed = (label, ask) =>
    button(label, async () => {
      if (await ask(context, user)) await done();
    }, { class: "small" });
  return h(
    "div",
    { class: "actions" },
    deed("Credit…", creditDialog),
    deed("Roles and tier…", rolesDialog),
    deed("Limits…", limitsDialog),
    deed("Hold payouts…", holdDialog),
    deed("End logins…", endLoginsDialog),
    deed(user.status === "active" ? "Suspend…" : "Reactivate…", statusDialog),
  );
}

/** @param {BalanceView} balance */
function balanceFigures({ available, held, earned, inPayout, currency }) {
  return h(
    "div",
    { class: "figures" },
    figure("To spend", sum(available, currency)),
    figure("Held", sum(held, currency)),
    figure("Earned", sum(earned, currency)),
    figure("In payout", sum(inPayout, currency)),
  );
}

function reasonField() {
  return field("Reason", h("input", { name: "reason", required: true, maxlength: 256 }), "The audit log keeps it.");
}

/**
 * @param {PageContext} context
 * @param {UserView} user
 */
function creditDialog({ calls, info }, { userId, name }) {
  // Made once for the dialog: sent again after a lost answer, it is the same credit.
  const id = crypto.randomUUID();
  return dialog({
    title: `Credit for ${name}`,
    action: "Do it",
    body: [
      field(
        "What",
        select("direction", [{ value: "give", label: "Give money" }, { value: "take", label: "Take money back" }]),
      ),
      field(`Amount in ${info.currency.toUpperCase()}`, amountInput("")),
      reasonField(),
    ],
    submit: ({ direction, amount = "", reason = "" }) =>
      calls.giveCredit({ id, userId, direction: direction === "take" ? "take" : "give", amount, reason }),
  });
}

/**
 * @param {PageContext} context
 * @param {UserView} user
 */
function rolesDialog({ calls }, { userId, name, roles, tier }) {
  return dialog({
    title: `Roles and tier of ${name}`,
    action: "Change",
    body: [
      field(
        "May",
        select("roles", [
          { value: "user", label: "use the proxy" },
          { value: "user operator", label: "use the proxy, share a connection" },
          { value: "user admin", label: "use the proxy, administer" },
          { value: "user operator admin", label: "all of these" },
        ], { value: ["user", "operator", "admin"].filter((role) => roles.some((each) => each === role)).join(" ") }),
      ),
      field(
        "Tier",
        h("input", {
          name: "tier",
          value: tier,
          required: true,
          pattern: "[a-z0-9][a-z0-9\\-]{0,31}",
          title: "lower-case letters, digits and hyphens",
        }),
        "A column of the price list.",
      ),
      reasonField(),
    ],
    submit: ({ roles = "user", tier = "", reason = "" }) =>
      calls.changeUser({ userId, roles: /** @type {UserView["roles"]} */ (roles.split(" ")), tier, reason }),
  });
}

/** @type {readonly { name: keyof NonNullable<UserView["limits"]>, label: string }[]} */
const limitFields = [
  { name: "maxConnections", label: "Connections at once" },
  { name: "maxConnectionsPerSecond", label: "New connections a second" },
  { name: "maxBytesPerSecond", label: "Bytes a second" },
  { name: "maxBytesPerDay", label: "Bytes a day" },
  { name: "maxTargetsPerMinute", label: "Different hosts a minute" },
];

/**
 * @param {PageContext} context
 * @param {UserView} user
 */
function limitsDialog({ calls }, { userId, name, limits = {} }) {
  return dialog({
    title: `Limits of ${name}`,
    action: "Change",
    body: [
      h("p", { class: "soft" }, "What is left empty is the orchestrator's default."),
      h(
        "div",
        { class: "fields" },
        limitFields.map(({ name, label }) =>
          field(
            label,
            h("input", {
              name,
              value: limits[name] ?? "",
              inputmode: "numeric",
              pattern: "\\d{1,15}",
              title: "a whole number",
            }),
          )
        ),
      ),
      reasonField(),
    ],
    submit: ({ reason = "", ...values }) => {
      const set = limitFields.filter(({ name }) => values[name]).map(({ name }) => [name, Number(values[name])]);
      return calls.changeUser({ userId, limits: set.length === 0 ? null : Object.fromEntries(set), reason });
    },
  });
}

/**
 * @param {PageContext} context
 * @param {UserView} user
 */
function holdDialog({ calls }, { userId, name }) {
  return dialog({
    title: `Hold payouts of ${name}`,
    action: "Change",
    body: [
      field(
        "For",
        select("days", [{ value: "7", label: "7 days" }, { value: "30", label: "30 days" }, {
          value: "365",
          label: "a year",
        }, { value: "", label: "no longer: take the hold away" }]),
      ),
      reasonField(),
    ],
    submit: ({ days, reason = "" }) =>
      calls.changeUser({
        userId,
        payoutHold: days ? { untilMs: Date.now() + Number(days) * DAY_MS, reason } : null,
        reason,
      }),
  });
}

/**
 * @param {PageContext} context
 * @param {UserView} user
 */
function endLoginsDialog({ calls }, { userId, name }) {
  return dialog({
    title: `End logins of ${name}`,
    action: "End them",
    tone: "bad",
    body: [
      h("p", {}, "Every browser and program that is signed in has to sign in again."),
      field("API keys", select("keys", [{ value: "", label: "stay" }, { value: "yes", label: "are revoked too" }])),
      reasonField(),
    ],
    submit: ({ keys, reason = "" }) => calls.endLogins({ userId, keys: keys === "yes", reason }),
  });
}

/**
 * @param {PageContext} context
 * @param {UserView} user
 */
function statusDialog({ calls }, { userId, name, status }) {
  const isActive = status === "active";
  return dialog({
    title: isActive ? `Suspend ${name}` : `Reactivate ${name}`,
    action: isActive ? "Suspend" : "Reactivate",
    ...(isActive && { tone: /** @type {const} */ ("bad") }),
    body: [
      h(
        "p",
        {},
        isActive
          ? "They can neither sign in nor use the proxy, and what goes on now ends. Their money stays theirs."
          : "They can sign in and use the proxy again.",
      ),
      reasonField(),
    ],
    submit: ({ reason = "" }) => calls.changeUser({ userId, status: isActive ? "suspended" : "active", reason }),
  });
}

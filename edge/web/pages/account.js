/** One's own account: who one is here, secrets, addresses programs may come from, API keys. */

import { button, card, checkbox, copyable, field, notice, select, when } from "../lib/controls.js";
import { dialog } from "../lib/dialog.js";
import { h, icon } from "../lib/dom.js";
import { section } from "../lib/section.js";
import { table } from "../lib/table.js";
import { toast } from "../lib/toast.js";
import { bytes, moment, rate } from "../lib/words.js";
import { pageHead } from "../parts/shell.js";
import { fact } from "./node_card.js";

/** @import { UserLimits } from "../../../protocol/sharing/records.ts" */
/** @import { UserView } from "../../orchestrator/api.ts" */
/** @import { PageContext } from "./routes.js" */

const DAY_MS = 86_400_000;

/** @param {PageContext} context */
export function accountPage(context) {
  const { calls, signal } = context;
  const { element } = section({
    signal,
    lines: 5,
    class: "stack",
    load: (signal) => calls.account({}, signal),
    show: (user, reload) => [whoCard(context, user, reload), addressesCard(context, user)],
  });
  return h(
    "div",
    { class: "page" },
    pageHead("Account", "Who you are here, and what opens it."),
    element,
    keysCard(context),
  );
}

/**
 * @param {PageContext} context
 * @param {UserView} user
 * @param {() => Promise<void>} reload
 */
function whoCard({ calls }, user, reload) {
  const rename = button("Rename", async () => {
    const isDone = await dialog({
      title: "Rename",
      action: "Rename",
      body: field("Name", h("input", { name: "name", value: user.name, required: true, maxlength: 64 })),
      submit: ({ name = "" }) => calls.changeAccount({ name: name.trim() }),
    });
    if (isDone) await reload();
  }, { class: "small" });
  return card(
    "You",
    [
      rename,
      button(user.hasSecret ? "New secret" : "Make a secret", () => newSecret({ calls }, user), { class: "small" }),
    ],
    h(
      "dl",
      { class: "facts" },
      fact("Name", user.name),
      fact("Account", h("code", {}, user.userId)),
      fact("Roles", user.roles.join(", ")),
      fact("Tier", user.tier),
      fact("Opened", moment(user.createdAtMs)),
      fact("Telegram", user.telegramId === undefined ? "not linked" : "linked"),
      ...limitFacts(user.limits),
    ),
  );
}

/** @param {UserLimits | undefined} limits */
export function limitFacts(limits = {}) {
  const { maxConnections, maxConnectionsPerSecond, maxBytesPerSecond, maxBytesPerDay, maxTargetsPerMinute } = limits;
  return [
    maxConnections !== undefined && fact("Connections at once", maxConnections.toLocaleString("en")),
    maxConnectionsPerSecond !== undefined &&
    fact("New connections a second", maxConnectionsPerSecond.toLocaleString("en")),
    maxBytesPerSecond !== undefined && fact("Speed limit", rate(maxBytesPerSecond)),
    maxBytesPerDay !== undefined && fact("A day", bytes(maxBytesPerDay)),
    maxTargetsPerMinute !== undefined && fact("Different hosts a minute", maxTargetsPerMinute.toLocaleString("en")),
  ];
}

/**
 * @param {Pick<PageContext, "calls">} context
 * @param {UserView} user
 */
async function newSecret({ calls }, user) {
  let secret = "";
  const isDone = await dialog({
    title: "New secret",
    action: "Make it",
    body: h(
      "p",
      {},
      user.hasSecret
        ? "The secret you sign in with stops working, and every other sign-in ends. The proxy's secret and API keys stay."
        : "With it you can sign in here without Telegram.",
    ),
    submit: async () => {
      secret = (await calls.newSecret({})).secret;
    },
  });
  if (!isDone) return;
  await dialog({
    title: "Keep it now",
    action: "I have kept it",
    body: [
      notice("warn", "It is shown this once."),
      copyable("account", user.userId),
      copyable("secret", secret, { isSecret: true }),
    ],
  });
}

/**
 * @param {PageContext} context
 * @param {UserView} user
 */
function addressesCard({ calls }, user) {
  const area = h("textarea", {
    name: "addresses",
    rows: 3,
    placeholder: "203.0.113.7\n2001:db8:17::/48",
    spellcheck: "false",
  });
  area.value = (user.proxyAllowed ?? []).join("\n");
  const save = button("Save", async () => {
    const proxyAllowed = area.value.split(/[\s,]+/).filter((address) => address !== "");
    await calls.changeAccount({ proxyAllowed });
    toast(proxyAllowed.length === 0 ? "Programs may come from anywhere" : "Saved");
  }, { class: "small" });
  return card(
    "Where programs may come from",
    save,
    field("Addresses and networks", area, "One a line, 32 at most. Empty: from anywhere, with the right secret."),
  );
}

/** @param {PageContext} context */
function keysCard(context) {
  const { calls, signal } = context;
  const { element, reload } = section({
    signal,
    lines: 2,
    load: (signal) => calls.apiKeys({}, signal),
    show: ({ keys }) =>
      table({
        caption: "API keys",
        rows: keys,
        none: "You have no API keys. A program uses one to ask for what you see here.",
        columns: [
          { title: "For", cell: ({ label }) => label },
          { title: "Roles", cell: ({ roles }) => roles.join(", ") },
          { title: "Made", cell: ({ createdAtMs }) => when(createdAtMs) },
          { title: "Last used", cell: ({ lastUsedAtMs }) => lastUsedAtMs === undefined ? "never" : when(lastUsedAtMs) },
          {
            title: "Counts until",
            cell: ({ expiresAtMs }) => expiresAtMs === undefined ? "it is revoked" : when(expiresAtMs),
          },
          {
            title: "",
            class: "row-actions",
            cell: ({ keyId, label }) =>
              h(
                "div",
                { class: "actions" },
                button("Revoke", async () => {
                  const isDone = await dialog({
                    title: "Revoke API key",
                    action: "Revoke",
                    tone: "bad",
                    body: h("p", {}, `Programs that use “${label}” are refused at once.`),
                    submit: () => calls.revokeApiKey({ keyId }),
                  });
                  if (isDone) await reload();
                }, { class: "small", label: `Revoke ${label}` }),
              ),
          },
        ],
      }),
  });
  return card("API keys", [
    h("a", { href: "/api" }, "What the API can do"),
    button([icon("plus"), "New key"], () => newKey(context, reload), { class: "small" }),
  ], element);
}

/**
 * @param {PageContext} context
 * @param {() => Promise<void>} reload
 */
async function newKey({ calls }, reload) {
  const roles = calls.client.user?.roles ?? ["user"];
  let token = "";
  const isDone = await dialog({
    title: "New API key",
    action: "Make it",
    body: [
      field(
        "For",
        h("input", { name: "label", required: true, maxlength: 64, placeholder: "such as: statement export" }),
      ),
      field(
        "Counts",
        select("days", [{ value: "30", label: "30 days" }, { value: "365", label: "one year" }, {
          value: "",
          label: "until it is revoked",
        }]),
      ),
      h(
        "div",
        { class: "stack", role: "group", "aria-label": "Roles" },
        roles.map((role) => checkbox(`role-${role}`, roleNames[role])),
      ),
    ],
    submit: async ({ label = "", days, ...ticked }) => {
      const chosen = roles.filter((role) => `role-${role}` in ticked);
      if (chosen.length === 0) throw new Error("Choose at least one role.");
      const expires = days ? { expiresAtMs: Date.now() + Number(days) * DAY_MS } : {};
      token = (await calls.newApiKey({ label: label.trim(), roles: chosen, ...expires })).token;
    },
  });
  if (!isDone) return;
  void reload();
  await dialog({
    title: "Keep it now",
    action: "I have kept it",
    body: [notice("warn", "It is shown this once."), copyable("API key", token, { isSecret: true })],
  });
}

/** @type {Record<UserView["roles"][number], string>} */
const roleNames = {
  user: "As a client: balance, statement, credentials",
  operator: "As an operator: nodes, earnings, payouts",
  admin: "As an admin: everything",
};

/** An admin's accounts: who there is, inviting somebody, and one account with what can be done to it. */

import { badge, button, card, copyable, field, select, when } from "../lib/controls.js";
import { dialog } from "../lib/dialog.js";
import { h, icon } from "../lib/dom.js";
import { searchedSection } from "../lib/searched.js";
import { section } from "../lib/section.js";
import { table } from "../lib/table.js";
import { toast } from "../lib/toast.js";
import { adminHead } from "../parts/admin_tabs.js";
import { manageAccount } from "./admin_account.js";

/** @import { UserView } from "../../orchestrator/api.ts" */
/** @import { PageContext } from "./routes.js" */

/** @param {PageContext} context */
export function adminAccountsPage(context) {
  const invitations = invitationsSection(context);
  const invite = button([icon("plus"), "Invite"], () => inviteDialog(context, () => invitations.reload()), {
    class: "primary",
  });
  return h(
    "div",
    { class: "page" },
    adminHead("/admin/accounts", "Everybody who may use the proxy, share a connection or sign in here.", invite),
    accountsCard(context),
    invitations.element,
  );
}

/** @param {PageContext} context */
function accountsCard(context) {
  const { calls, signal } = context;
  const sort = { column: -1, descending: false };
  const { search, element } = searchedSection({
    label: "Find by name or account",
    signal,
    lines: 6,
    load: async (/** @type {string | undefined} */ after, signal) => {
      const { users, next } = await calls.users({ limit: 100, after }, signal);
      return { rows: users, next };
    },
    textOf: ({ name, userId }) => `${name} ${userId}`,
    show: (rows, changed) => accountsTable(context, { rows, sort, changed }),
  });
  return card("Accounts", search, element);
}

/**
 * @param {PageContext} context
 * @param {{ rows: readonly UserView[], sort: import("../lib/table.js").Sort, changed: () => Promise<void> }} options
 */
function accountsTable(context, { rows, sort, changed }) {
  return table({
    caption: "Accounts",
    rows,
    sort,
    none: "No such account among those shown",
    columns: [
      {
        title: "Name",
        sortBy: ({ name }) => name.toLowerCase(),
        cell: ({ name, userId }) =>
          h("div", {}, h("strong", {}, name), h("div", { class: "soft small-text" }, h("code", {}, userId))),
      },
      {
        title: "State",
        sortBy: ({ status }) => status,
        cell: (user) =>
          h(
            "div",
            {},
            user.status === "active" ? badge("active", "good") : badge("suspended", "bad"),
            user.reason && h("div", { class: "soft small-text" }, user.reason),
          ),
      },
      { title: "Roles", cell: ({ roles }) => roles.join(", ") },
      { title: "Tier", sortBy: ({ tier }) => tier, cell: ({ tier }) => tier },
      {
        title: "Payouts",
        cell: ({ payoutHold }) =>
          payoutHold && payoutHold.untilMs > Date.now()
            ? h("span", {}, badge("held", "warn"), h("div", { class: "soft small-text" }, payoutHold.reason))
            : h("span", { class: "soft" }, "free"),
      },
      { title: "Since", sortBy: ({ createdAtMs }) => createdAtMs, cell: ({ createdAtMs }) => when(createdAtMs) },
      {
        title: "",
        class: "row-actions",
        cell: (user) =>
          h(
            "div",
            { class: "actions" },
            button("Manage", () => manageAccount(context, user, changed), {
              class: "small",
              label: `Manage ${user.name}`,
            }),
          ),
      },
    ],
  });
}

/**
 * @param {PageContext} context
 * @param {() => Promise<void>} changed
 */
async function inviteDialog({ calls }, changed) {
  let code = "";
  const isDone = await dialog({
    title: "Invite somebody",
    action: "Make an invitation",
    body: [
      field("For", h("input", { name: "label", required: true, maxlength: 64 }), "For you, to know whom it was for."),
      field(
        "As",
        select("roles", [
          { value: "user", label: "Client: uses the proxy" },
          { value: "user operator", label: "Operator: shares a connection too" },
          { value: "user operator admin", label: "Admin: may do everything here" },
        ]),
      ),
    ],
    submit: async ({ label = "", roles = "user" }) => {
      const chosen = /** @type {UserView["roles"]} */ (roles.split(" "));
      code = (await calls.invite({ label: label.trim(), roles: chosen })).code;
    },
  });
  if (!isDone) return;
  void changed();
  await dialog({
    title: "Send it",
    action: "Done",
    body: [h("p", {}, "It opens one account within seven days, and is shown this once."), copyable("invitation", code)],
  });
}

/** @param {PageContext} context */
function invitationsSection({ calls, signal }) {
  const all = section({
    signal,
    lines: 2,
    load: (signal) => calls.invitations({}, signal),
    show: ({ invitations }) =>
      invitations.length > 0 && card(
        "Invitations nobody has taken yet",
        undefined,
        table({
          caption: "Invitations",
          rows: invitations,
          none: "",
          columns: [
            { title: "For", cell: ({ label }) => label },
            { title: "As", cell: ({ roles }) => (roles ?? ["user"]).join(", ") },
            { title: "Counts until", cell: ({ expiresAtMs }) => when(expiresAtMs) },
            {
              title: "",
              class: "row-actions",
              cell: ({ codeId, label }) =>
                h(
                  "div",
                  { class: "actions" },
                  button("Take back", async () => {
                    await calls.revokeInvitation({ codeId });
                    toast("Taken back");
                    await all.reload();
                  }, { class: "small", label: `Take back the invitation for ${label}` }),
                ),
            },
          ],
        }),
      ),
  });
  return all;
}

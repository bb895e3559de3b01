/** What the panel says of a supernode, a peer, a group of peers, or a session. */

import { badge, copyable, when } from "../lib/controls.js";
import { h } from "../lib/dom.js";
import { moment, short } from "../lib/words.js";
import { endSessionButton, partButton, peerButtons, supernodeButtons } from "./deeds.js";
import { groupTitle } from "./map_spots.js";
import { mbps, millis, percent, roles, sessionStates, states } from "./words.js";

/** @import { GroupView, NodeView, PeerRow, SessionRow } from "../../dashboard/api.ts" */
/** @import { Choice, Fetched } from "./panel.js" */
/** @import { PageContext } from "./routes.js" */
/** @typedef {import("../lib/dom.js").Child} Child */

/** @typedef {PageContext & { fetched: Fetched, choose: (choice: Choice) => void }} PanelContext */
/** @typedef {{ title: string, marks: Child, body: Child }} Content */

/**
 * Nothing, when it is not there any more.
 * @param {Choice} choice
 * @param {PanelContext} context
 * @returns {Content | undefined}
 */
export function contentOf({ kind, id }, context) {
  const { live, fetched } = context;
  if (kind === "session") {
    const session = fetched.sessions.find(({ sessionId }) => sessionId === id);
    return session && sessionContent(session, context);
  }
  const group = live.view?.groups.find((each) => each.id === id);
  if (group) return groupContent(group, context);
  const node = live.view?.nodes.find((each) => each.id === id);
  // Not all peers are on the map.
  if (node || fetched.peer) return peerContent(node, fetched.peer, context);
  return undefined;
}

/**
 * @param {NodeView | undefined} node
 * @param {PeerRow | undefined} row
 * @param {PanelContext} context
 * @returns {Content}
 */
function peerContent(node, row, context) {
  const id = node?.id ?? row?.peerId ?? "";
  const label = node?.label ?? row?.name ?? short(id);
  const kind = node?.kind ?? row?.role ?? "client";
  const state = node?.state ?? row?.state ?? "gone";
  const part = context.live.view?.parts.find(({ name, peerId }) =>
    name === node?.part || (peerId !== undefined && peerId === id)
  );
  const isBlocked = state === "blocked" || row?.isBlocked === true;
  return {
    title: label,
    marks: [badge(roles[kind].one, "quiet"), badge(states[state].label, states[state].tone)],
    body: [
      deedRow([
        part && partButton(context, part),
        kind === "supernode"
          ? supernodeButtons(context, { id, label, state })
          : peerButtons(context, { peerId: id, label, isBlocked, isHere: state !== "gone" }),
      ]),
      load(node?.load ?? row?.load),
      facts([
        ["Region", node?.region ?? row?.region],
        ["Connected to", row?.supernodeName ?? nameOf(node?.at ?? row?.supernodeId, context)],
        ["Peers", node?.streams?.toLocaleString("en")],
        ["Processor", node?.cpuPct === undefined ? undefined : `${node.cpuPct.toFixed(1)} %`],
        ["Sessions", (node?.sessions ?? row?.sessions)?.toLocaleString("en")],
        ["Round trip", (node?.rttMs ?? row?.rttMs) === undefined ? undefined : millis(node?.rttMs ?? row?.rttMs)],
        ["Receives", row?.rxMbps === undefined ? undefined : mbps(row.rxMbps)],
        ["Sends", row?.txMbps === undefined ? undefined : mbps(row.txMbps)],
        ["Connected", row?.connectedAtMs === undefined ? undefined : when(row.connectedAtMs)],
        ["Heard", row?.heardAtMs === undefined ? undefined : when(row.heardAtMs)],
        ["Version", row?.version],
      ]),
      copyable("peer id", id),
      sessionList(id, context),
    ],
  };
}

/**
 * @param {string | undefined} id
 * @param {PanelContext} context
 */
function nameOf(id, { live }) {
  if (id === undefined) return undefined;
  return live.view?.nodes.find((node) => node.id === id)?.label ?? short(id);
}

/**
 * @param {GroupView} group
 * @param {PanelContext} context
 * @returns {Content}
 */
function groupContent(group, context) {
  const { role, region, at, sessions, load: part, failing } = group;
  const search = [role, region].join(" ");
  return {
    title: groupTitle(group),
    marks: [badge("Group", "quiet"), failing > 0 && badge(`${failing.toLocaleString("en")} failing`, "bad")],
    body: [
      h("p", { class: "soft" }, "There are too many to draw each of them."),
      load(part),
      facts([
        ["Region", region],
        ["Connected to", nameOf(at, context)],
        ["Sessions", sessions.toLocaleString("en")],
      ]),
      h("p", {}, h("a", { class: "button", href: `#/peers?${new URLSearchParams({ search })}` }, "List them")),
    ],
  };
}

/**
 * @param {SessionRow} session
 * @param {PanelContext} context
 * @returns {Content}
 */
function sessionContent(session, context) {
  const { sessionId, clientPeerId, clientName, exitPeerId, exitName } = session;
  const client = clientName ?? short(clientPeerId);
  return {
    title: `Session of ${client}`,
    marks: sessionBadge(session),
    body: [
      deedRow([endSessionButton(context, sessionId)]),
      facts([
        ["Client", placeButton(clientPeerId, client, context)],
        [
          "Exit",
          exitPeerId === undefined ? "none yet" : placeButton(exitPeerId, exitName ?? short(exitPeerId), context),
        ],
        ["Exit's region", session.exitRegion],
        ["Carries", session.carries],
        ["Relay", session.relay],
        ["Began", when(session.createdAtMs)],
        ["Good until", moment(session.expiresAtMs)],
        ["Kept", session.isStatic ? "always" : undefined],
      ]),
      copyable("session id", sessionId),
    ],
  };
}

/** @param {Pick<SessionRow, "state">} session */
export function sessionBadge({ state }) {
  const { label, tone } = sessionStates[state] ?? { label: state, tone: /** @type {const} */ ("quiet") };
  return badge(label, tone);
}

/**
 * @param {string} id
 * @param {string} label
 * @param {Pick<PanelContext, "choose">} context
 */
export function placeButton(id, label, { choose }) {
  return h(
    "button",
    { type: "button", class: "link", data: { key: `place-${id}` }, on: { click: () => choose({ kind: "place", id }) } },
    h("bdi", {}, label),
  );
}

/**
 * @param {string} id
 * @param {PanelContext} context
 */
function sessionList(id, { fetched: { sessions, total }, choose }) {
  if (sessions.length === 0) return undefined;
  const more = total - sessions.length;
  return h(
    "section",
    { class: "stack tight" },
    h("h3", {}, "Sessions"),
    h(
      "ul",
      { class: "session-list" },
      sessions.map((session) => {
        const isClient = session.clientPeerId === id;
        const other = isClient
          ? session.exitName ?? short(session.exitPeerId ?? "no exit")
          : session.clientName ?? short(session.clientPeerId);
        const label = `${isClient ? "to" : "of"} ${other}`;
        return h(
          "li",
          {},
          h(
            "button",
            {
              type: "button",
              class: "link",
              data: { key: `session-${session.sessionId}` },
              on: { click: () => choose({ kind: "session", id: session.sessionId }) },
            },
            h("bdi", {}, label),
          ),
          sessionBadge(session),
        );
      }),
    ),
    more > 0 &&
      h("a", { href: `#/sessions?${new URLSearchParams({ search: id })}` }, `${more.toLocaleString("en")} more`),
  );
}

/** @param {Child[]} buttons */
function deedRow(buttons) {
  const row = h("div", { class: "actions" }, buttons);
  return row.childElementCount > 0 && row;
}

/** @param {readonly (readonly [string, Child])[]} pairs what is undefined is not known, and left out */
function facts(pairs) {
  return h(
    "dl",
    { class: "facts" },
    pairs.filter(([, value]) => value !== undefined).map(([name, value]) =>
      h("div", {}, h("dt", {}, name), h("dd", {}, value))
    ),
  );
}

/** @param {number | undefined} part */
function load(part) {
  if (part === undefined) return undefined;
  const tone = part < 0.75 ? "" : part < 0.9 ? "warn" : "bad";
  const meter = h("meter", { class: `load ${tone}`, min: 0, max: 1, value: part, "aria-label": "Load" });
  return h("div", { class: "load-row" }, h("span", {}, "Load"), meter, h("span", {}, percent(part)));
}

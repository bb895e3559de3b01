/**
 * What can be done to whoever is looked at: one button for each deed that is possible here, with a question first where it
 * cannot be taken back by another button.
 */

import { button, field } from "../lib/controls.js";
import { dialog } from "../lib/dialog.js";
import { h } from "../lib/dom.js";
import { ApiError } from "../lib/http.js";
import { toast } from "../lib/toast.js";
import { pushDialog } from "./push.js";

/** @import { NodeView, PartView } from "../../dashboard/api.ts" */
/** @import { Deed, DeedKind } from "../../dashboard/inventory.ts" */
/** @import { Client } from "./client.js" */
/** @import { Live } from "./live.js" */

/** @typedef {{ client: Client, live: Live }} Doer */

const LONGEST_REASON = 200;

/**
 * @param {Pick<Doer, "live">} doer
 * @param {DeedKind} kind
 */
export function isPossible({ live }, kind) {
  return live.view?.deeds.includes(kind) === true;
}

/**
 * @param {Doer} doer
 * @param {Deed} deed
 */
async function act({ client }, deed) {
  const { text } = await client.act(deed);
  toast(text);
}

/**
 * @param {Doer} doer
 * @param {Pick<PartView, "name" | "isRunning">} part
 */
export function partButton(doer, { name, isRunning }) {
  const kind = isRunning ? "kill_part" : "start_part";
  if (!isPossible(doer, kind)) return false;
  const verb = isRunning ? "Kill" : "Start";
  return button(verb, () => act(doer, { kind, name }), {
    class: isRunning ? "small danger" : "small",
    label: `${verb} ${name}`,
  });
}

/**
 * @param {Doer} doer
 * @param {Pick<NodeView, "id" | "label" | "state">} supernode
 */
export function supernodeButtons(doer, { id: supernodeId, label, state }) {
  const isDraining = state === "draining";
  const isBlocked = state === "blocked";
  return [
    isPossible(doer, isDraining ? "undrain" : "drain") && !isBlocked &&
    (isDraining
      ? button("Stop draining", () => act(doer, { kind: "undrain", supernodeId }), {
        class: "small",
        label: `Stop draining ${label}`,
      })
      : button("Drain", () => ask(doer, { kind: "drain", supernodeId }, drainQuestion(label)), {
        class: "small",
        label: `Drain ${label}`,
      })),
    isPossible(doer, isBlocked ? "unblock" : "block") &&
    (isBlocked
      ? button("Let in again", () => act(doer, { kind: "unblock", supernodeId }), {
        class: "small",
        label: `Let in again: ${label}`,
      })
      : button(
        "Block",
        () => askWhy(doer, (reason) => ({ kind: "block", supernodeId, reason }), blockQuestion(label)),
        {
          class: "small danger",
          label: `Block ${label}`,
        },
      )),
  ];
}

/**
 * @param {Doer} doer
 * @param {{ peerId: string, label: string, isBlocked: boolean, isHere: boolean }} peer
 */
export function peerButtons(doer, { peerId, label, isBlocked, isHere }) {
  return [
    isPossible(doer, "push") && isHere && !isBlocked &&
    button("Push a command", () => pushDialog({ ...doer, peerId, label }), {
      class: "small",
      label: `Push a command to ${label}`,
    }),
    isPossible(doer, isBlocked ? "unrevoke" : "revoke") &&
    (isBlocked
      ? button("Let in again", () => act(doer, { kind: "unrevoke", peerId }), {
        class: "small",
        label: `Let in again: ${label}`,
      })
      : button("Revoke", () => askRevoke(doer, { peerId, label }), {
        class: "small danger",
        label: `Revoke ${label}`,
      })),
  ];
}

/**
 * @param {Doer} doer
 * @param {{ id: string, label: string, isSupernode: boolean }} blocked
 */
export function letInButton(doer, blocked) {
  if (!lettingIn(doer, blocked).length) return false;
  return button("Let in again", () => letIn(doer, blocked), {
    class: "small",
    label: `Let in again: ${blocked.label}`,
  });
}

/**
 * Peers and supernodes are shut out by lists of their own. On which one somebody is who is not here any more only the server
 * knows: the other is tried where the likelier one does not have it.
 * @param {Doer} doer
 * @param {{ id: string, isSupernode: boolean }} blocked
 */
export async function letIn(doer, blocked) {
  const [likely, other] = lettingIn(doer, blocked);
  if (!likely) return;
  try {
    await act(doer, likely);
  } catch (error) {
    if (!other || !(error instanceof ApiError) || error.code !== "not_found") throw error;
    await act(doer, other);
  }
}

/**
 * What lets somebody in again, as far as it is possible here, the likelier first.
 * @param {Doer} doer
 * @param {{ id: string, isSupernode: boolean }} blocked
 */
function lettingIn(doer, { id, isSupernode }) {
  /** @type {Deed[]} */
  const deeds = [{ kind: "unrevoke", peerId: id }, { kind: "unblock", supernodeId: id }];
  if (isSupernode) deeds.reverse();
  return deeds.filter(({ kind }) => isPossible(doer, kind));
}

/**
 * @param {Doer} doer
 * @param {string} sessionId
 * @param {string} [whose]
 */
export function endSessionButton(doer, sessionId, whose) {
  if (!isPossible(doer, "end_session")) return false;
  const question = {
    title: "End this session?",
    text: "Streams on it are cut. The client asks for another by itself if it still wants one.",
    action: "End session",
  };
  return button("End session", () => ask(doer, { kind: "end_session", sessionId }, question), {
    class: "small danger",
    label: whose === undefined ? "End session" : `End session of ${whose}`,
  });
}

/**
 * @param {Doer} doer
 * @param {{ peerId: string, label: string }} peer
 */
export function askRevoke(doer, { peerId, label }) {
  return askWhy(doer, (reason) => ({ kind: "revoke", peerId, reason }), revokeQuestion(label));
}

/** @typedef {{ title: string, text: string, action: string }} Question */

/** @param {string} label @returns {Question} */
function drainQuestion(label) {
  return {
    title: `Drain ${label}?`,
    text: "It takes nobody new, and asks those who are connected to go to other supernodes.",
    action: "Drain",
  };
}

/** @param {string} label @returns {Question} */
function blockQuestion(label) {
  return {
    title: `Block ${label}?`,
    text: "It is shut out of the network at once: base lists it no more, and other supernodes end their links to it.",
    action: "Block",
  };
}

/** @param {string} label @returns {Question} */
function revokeQuestion(label) {
  return {
    title: `Revoke ${label}?`,
    text: "It is shut out at once, with its sessions, until it is let in again.",
    action: "Revoke",
  };
}

/**
 * @param {Doer} doer
 * @param {Deed} deed
 * @param {Question} question
 */
function ask(doer, deed, { title, text, action }) {
  return dialog({ title, body: h("p", {}, text), action, tone: "bad", submit: () => act(doer, deed) });
}

/**
 * @param {Doer} doer
 * @param {(reason: string | undefined) => Deed} deed
 * @param {Question} question
 */
function askWhy(doer, deed, { title, text, action }) {
  const reason = h("input", { name: "reason", maxlength: LONGEST_REASON, autocomplete: "off" });
  return dialog({
    title,
    body: [h("p", {}, text), field("Reason", reason, "For the audit log; may be left empty.")],
    action,
    tone: "bad",
    submit: () => act(doer, deed(reason.value.trim() || undefined)),
  });
}

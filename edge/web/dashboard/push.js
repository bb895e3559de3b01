/** Pushing a command to a peer: its kind, and the rest as JSON from a template, looked at before it is sent. */

import { field, select } from "../lib/controls.js";
import { dialog } from "../lib/dialog.js";
import { h } from "../lib/dom.js";
import { toast } from "../lib/toast.js";

/** @import { Client } from "./client.js" */

const HOUR_MS = 3_600_000;

/**
 * What each kind takes, as `protocol/control/commands.ts` has it; the server has the last word.
 * @type {Record<string, { about: string, needsSession: boolean, payload: () => object }>}
 */
export const commands = {
  DISCONNECT: {
    about: "Lets go of a session; without a session, of everything.",
    needsSession: false,
    payload: () => ({ reason: "admin", remark: "" }),
  },
  RELAY_UPDATE: {
    about: "The way to the supernode changes: where to go, best first.",
    needsSession: false,
    payload: () => ({ reason: "moved", supernodes: [{ url: "", supernodeId: "" }], leaveWithinMs: 30_000 }),
  },
  ROTATE_PEER: {
    about: "A client's session goes on under a new id at another exit.",
    needsSession: true,
    payload: () => ({
      reason: "asked",
      next: {
        sessionId: "",
        exit: { peerId: "", publicKey: "", wireguardKey: "", wireguardSignature: "" },
        region: "",
        expiresAtMs: Date.now() + HOUR_MS,
      },
      drainMs: 10_000,
    }),
  },
  SETUP_EXIT: {
    about: "An exit is to serve this client's session.",
    needsSession: true,
    payload: () => ({ clientPeerId: "", clientWireguardKey: "", expiresAtMs: Date.now() + HOUR_MS }),
  },
  RELAY_SETUP: {
    about: "A relay is to carry packets of this client to that exit.",
    needsSession: true,
    payload: () => ({
      clientPeerId: "",
      clientWireguardKey: "",
      exitPeerId: "",
      exitWireguardKey: "",
      relayAddress: "10.0.0.1/32",
      expiresAtMs: Date.now() + HOUR_MS,
    }),
  },
};

/** @param {{ client: Client, peerId: string, label: string }} options */
export function pushDialog({ client, peerId, label }) {
  const kind = select("kind", Object.keys(commands).map((value) => ({ value, label: value })), {
    on: { change: fill },
  });
  const about = h("p", { class: "hint", role: "status" });
  const session = h("input", { name: "sessionId", autocomplete: "off", spellcheck: "false" });
  const payload = h("textarea", { name: "payload", rows: 9, spellcheck: "false", class: "code" });

  function fill() {
    const command = commands[kind.value];
    about.textContent = command?.about ?? "";
    session.required = command?.needsSession === true;
    payload.value = JSON.stringify(command?.payload() ?? {}, null, 2);
  }

  fill();
  return dialog({
    title: `Push a command to ${label}`,
    body: [
      h("div", { class: "stack tight" }, field("Kind", kind), about),
      field("Session id", session, "Of the session that it is about; not every kind needs one."),
      field("Payload", payload, "JSON. What is empty must be filled in."),
    ],
    action: "Push",
    submit: async () => {
      const order = orderOf(kind.value, session.value, payload.value);
      const { text } = await client.act({ kind: "push", peerId, order });
      toast(text);
    },
  });
}

/**
 * What is pushed, or an error that says what is wrong with it.
 * @param {string} kind
 * @param {string} session
 * @param {string} text
 */
export function orderOf(kind, session, text) {
  const sessionId = session.trim();
  if (commands[kind]?.needsSession && sessionId === "") throw new Error(`${kind} needs a session id.`);
  const payload = parsed(text);
  if (typeof payload !== "object" || payload === null || Array.isArray(payload)) {
    throw new Error("The payload must be a JSON object, such as {}.");
  }
  return { kind, ...(sessionId !== "" && { sessionId }), payload };
}

/** @param {string} text */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`The payload is not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
}

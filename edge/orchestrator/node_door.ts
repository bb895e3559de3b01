/**
 * Who decides whether a node may come in, once it has shown who it is (`net/sharing/node_tunnels.ts` asks):
 *
 *   consent to the current text? ─▶ known? ─┬─ yes: not banned, its owner active ─▶ what it says of itself is noted
 *                                           └─ no: a code that counts ─▶ its owner's, on probation
 *
 * A code is used up by the node that shows it, so one that did not hear the answer may show it again. Where a node says that
 * it is, is taken as a claim: the watchdog looks at the address its traffic comes out at.
 */

import type { Table } from "../../kv/sharing/table.ts";
import type { Clock } from "../../protocol/clock.ts";
import { decodeBase64 } from "../../protocol/encoding.ts";
import type { Primitives } from "../../protocol/primitives.ts";
import { consentProblem } from "../../protocol/sharing/consent.ts";
import type { Hello, NodeRefusal } from "../../protocol/sharing/node_messages.ts";
import type { Device, User } from "../../protocol/sharing/records.ts";
import type { Access } from "./access.ts";
import { LoginBackoff } from "./access/login_backoff.ts";

export interface NodeDoorDeps {
  readonly devices: Table<Device>;
  readonly access: Pick<Access, "accounts" | "codes" | "audit">;
  readonly primitives: Primitives;
  readonly clock: Clock;
  /** Of a node that claims none. */
  readonly defaultRegion: string;
}

/** Why a node is not let in. */
export interface DoorRefusal {
  readonly code: NodeRefusal;
  readonly reason: string;
  readonly retryAfterMs?: number;
}

const HOUR_MS = 3_600_000;
const TRIES = 8;
const NEW_SCORE = 0.5;

export class NodeDoor {
  readonly #deps: NodeDoorDeps;
  readonly #backoff: LoginBackoff;

  constructor(deps: NodeDoorDeps) {
    this.#deps = deps;
    this.#backoff = new LoginBackoff(deps.clock);
  }

  /** What is known of the node now, or why it may not come in. Rejects when a store fails. */
  async admit(hello: Hello, { address }: { readonly address: string }): Promise<Device | DoorRefusal> {
    const refused = this.#refusalOfConsent(hello);
    if (refused) return this.#refuse(hello, address, refused);
    for (let attempt = 0; attempt < TRIES; attempt++) {
      const found = await this.#deps.devices.get(hello.nodeId);
      const device = found?.record ?? await this.#enrol(hello, address);
      if ("code" in device) return this.#refuse(hello, address, device);
      const refusal = refusalOf(device, await this.#deps.access.accounts.get(device.ownerId));
      if (refusal) return this.#refuse(hello, address, refusal);
      const seen = this.#seen(device, hello);
      if (found ? await this.#deps.devices.replace(found, seen) : await this.#deps.devices.insert(seen)) {
        if (!found) await this.#noteEnrolment(seen, address);
        return seen;
      }
    }
    return { code: "unavailable", reason: "Others change what is known of this node; try again", retryAfterMs: 1000 };
  }

  #refusalOfConsent({ consent, nodeId, publicKey }: Hello): DoorRefusal | undefined {
    const key = decodeBase64(publicKey);
    const { primitives, clock } = this.#deps;
    const nowMs = clock.wallNow();
    const problem = key
      ? consentProblem(consent, { nodeId, publicKey: key }, { primitives, nowMs })
      : "the key is none";
    return problem === undefined
      ? undefined
      : { code: "consent_needed", reason: `The owner has to consent: ${problem}` };
  }

  /** The record of a node that shows a code that counts. */
  async #enrol({ nodeId, code, info, consent }: Hello, address: string): Promise<Device | DoorRefusal> {
    const { access, clock, defaultRegion } = this.#deps;
    if (code === undefined) {
      return { code: "unknown_node", reason: "This node is not known here: it needs a code from its owner's page" };
    }
    const waitMs = this.#backoff.waitMs(undefined, address);
    if (waitMs > 0) {
      return { code: "rate_limited", reason: "Too many wrong codes came from there", retryAfterMs: waitMs };
    }
    const enrolment = await access.codes.use(code, "node", nodeId);
    if (enrolment?.ownerId === undefined) {
      this.#backoff.fail(undefined, address);
      return { code: "bad_code", reason: "The code was used, has expired or is none" };
    }
    const nowMs = clock.wallNow();
    return {
      nodeId,
      ownerId: enrolment.ownerId,
      label: enrolment.label,
      region: defaultRegion,
      info,
      consent,
      standing: "probation",
      reasons: [],
      score: NEW_SCORE,
      createdAtMs: nowMs,
      lastSeenAtMs: nowMs,
    };
  }

  #seen(device: Device, { info, consent, claims }: Hello): Device {
    return {
      ...device,
      info,
      consent,
      ...(claims?.region !== undefined && { region: claims.region }),
      ...(claims?.country !== undefined && { country: claims.country }),
      ...(claims?.city !== undefined && { city: claims.city }),
      lastSeenAtMs: this.#deps.clock.wallNow(),
    };
  }

  async #noteEnrolment({ nodeId, ownerId, label, consent }: Device, address: string): Promise<void> {
    const detail = `${label}, from ${address}, consent ${consent.version}`;
    await this.#deps.access.audit.note(ownerId, "node.enrolled", { subject: nodeId, detail });
  }

  #refuse({ nodeId }: Hello, address: string, refusal: DoorRefusal): DoorRefusal {
    const detail = `${refusal.code}: ${refusal.reason}`;
    this.#deps.access.audit.refused(address, "node.admission", { subject: nodeId, detail });
    return refusal;
  }
}

function refusalOf({ standing, reasons }: Device, owner: User | undefined): DoorRefusal | undefined {
  if (standing === "banned") {
    const why = reasons[0] ? `: ${reasons[0].reason}` : "";
    return { code: "banned", reason: `This node is banned${why}`.slice(0, 256), retryAfterMs: 24 * HOUR_MS };
  }
  if (owner?.status === "active" && owner.roles.includes("operator")) return undefined;
  return { code: "suspended", reason: "The account of this node's owner may not share now", retryAfterMs: HOUR_MS };
}

/**
 * What is done from the dashboard of `culvert up`: parts are killed and started, and for everything else the supernodes and the
 * base are told as `culvert admin` would tell them. Their stores are separate, so that a block is told to each of them.
 */

import type { Deed, DeedOutcome } from "../../edge/dashboard/inventory.ts";
import { CulvertError, messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import type { AdminConnection } from "../admin/connection.ts";
import { type DeedName, type DeedSettings, doDeed } from "../admin/deeds.ts";
import { attempt, failed, succeeded } from "../dashboard/outcomes.ts";
import { drainBody, orderSchema } from "../supernode/admin_schema.ts";
import type { AskedParts } from "./asked_parts.ts";
import type { Failures } from "./failures.ts";
import type { AskedPart, ShownNetwork } from "./watched_network.ts";

export interface UpDeedsOptions {
  readonly network: ShownNetwork;
  readonly asked: Pick<AskedParts, "running" | "call">;
  readonly failures: Pick<Failures, "kill">;
  readonly log: Log;
}

type Remote = Exclude<Deed, { kind: "kill_part" | "start_part" }>;

const DEFAULTS = { reason: "", timeout: 30_000, within: drainBody.parse({}).leaveWithinMs, queue: false };

export class UpDeeds {
  readonly #options: UpDeedsOptions;

  constructor(options: UpDeedsOptions) {
    this.#options = options;
  }

  /** Never rejects. */
  act(deed: Deed, signal: AbortSignal): Promise<DeedOutcome> {
    return attempt(async () => {
      if (!("name" in deed)) return await this.#tell(deed, signal);
      return deed.kind === "kill_part" ? await this.#kill(deed.name) : await this.#start(deed.name);
    });
  }

  async #kill(name: string): Promise<DeedOutcome> {
    const { network, failures, log } = this.#options;
    if (!network.names.includes(name)) return failed("not_found", `There is no part ${name}.`);
    if (!network.isRunning(name)) return failed("failed", `${name} does not run.`);
    // How the next stream fares shows later, in the log of events.
    await new Promise<void>((resolve) => {
      failures.kill(name, resolve).catch((error) => log.error("Cannot kill a part", { error: messageOf(error) }))
        .finally(resolve);
    });
    return succeeded(`${name} is killed.`);
  }

  async #start(name: string): Promise<DeedOutcome> {
    const { network } = this.#options;
    if (!network.names.includes(name)) return failed("not_found", `There is no part ${name}.`);
    if (await network.restart(name)) return succeeded(`${name} runs again.`);
    return failed("failed", `${name} runs already.`);
  }

  async #tell(deed: Remote, signal: AbortSignal): Promise<DeedOutcome> {
    const told = this.#toldOf(deed);
    if (told.length === 0) return failed("unavailable", "Nothing runs here that could do it.");
    const [name, settings] = wordsOf(deed);
    const { asked } = this.#options;
    const does = (connection: AdminConnection) => doDeed(name, { ...DEFAULTS, ...settings }, connection);
    const done = await Promise.allSettled(told.map((part) => asked.call(part, signal, does)));
    const lines = done.flatMap((each) => each.status === "fulfilled" ? [each.value.line] : []);
    // Of those that were told the same, whoever knew the peer has more to say.
    const line = lines.find((line) => line.includes("thrown out")) ?? lines[0];
    if (line !== undefined) return succeeded(line);
    const errors = done.flatMap((each) => each.status === "rejected" ? [each.reason] : []);
    throw errors.find((error) => !(error instanceof CulvertError && error.code === "not_found")) ?? errors[0];
  }

  /** Who is to do it. */
  #toldOf(deed: Remote): AskedPart[] {
    const { asked } = this.#options;
    switch (deed.kind) {
      case "drain":
      case "undrain":
        return asked.running("supernode").filter(({ peerId }) => peerId === deed.supernodeId);
      case "block":
      case "unblock":
        return asked.running().filter(({ peerId }) => peerId !== deed.supernodeId);
      case "revoke":
      case "unrevoke":
        return asked.running();
      case "end_session":
      case "push":
        return asked.running("supernode");
    }
  }
}

/** As `culvert admin` would be asked. Throws a CulvertError for an order that is none. */
function wordsOf(deed: Remote): [DeedName, Partial<DeedSettings>] {
  switch (deed.kind) {
    case "drain":
    case "undrain":
      return [deed.kind, {}];
    case "block":
    case "unblock":
      return [deed.kind, { subject: deed.supernodeId, reason: reasonOf(deed) }];
    case "revoke":
    case "unrevoke":
      return [deed.kind, { subject: deed.peerId, reason: reasonOf(deed) }];
    case "end_session":
      return ["end", { subject: deed.sessionId }];
    case "push": {
      const order = orderSchema.safeParse(deed.order);
      if (!order.success) {
        const { path, message } = order.error.issues[0]!;
        throw new CulvertError("bad_request", `Cannot push a command: ${path.join(".") || "it"}: ${message}`);
      }
      const { kind, payload, sessionId, timeoutMs } = order.data;
      const words = { kind, payload: JSON.stringify(payload), session: sessionId, timeout: timeoutMs };
      return ["push", { subject: deed.peerId, ...words }];
    }
  }
}

function reasonOf(deed: object): string {
  return "reason" in deed && typeof deed.reason === "string" ? deed.reason : "";
}

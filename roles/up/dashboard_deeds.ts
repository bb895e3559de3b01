/**
 * What is done from the dashboard of `culvert up`: parts are killed and started, and for everything else the supernodes and the
 * base are told as `culvert admin` would tell them. Their stores are separate, so that a block is told to each of them; who does
 * not run or does not answer is told later (`untold_blocks.ts`).
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
import type { UntoldBlocks } from "./untold_blocks.ts";
import type { AskedPart, ShownNetwork } from "./watched_network.ts";

export interface UpDeedsOptions {
  readonly network: ShownNetwork;
  readonly asked: Pick<AskedParts, "running" | "call">;
  readonly failures: Pick<Failures, "kill">;
  readonly untold: Pick<UntoldBlocks, "keep" | "forget">;
  readonly log: Log;
}

type BlockDeed = Extract<Deed, { kind: "block" | "unblock" | "revoke" | "unrevoke" }>;
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
    const { promise: killed, resolve, reject } = Promise.withResolvers<boolean>();
    // How the next stream fares shows later, in the log of events.
    failures.kill(name, () => resolve(true)).then(() => resolve(false), (error) => {
      log.error("Cannot kill a part", { part: name, error: messageOf(error) });
      reject(error);
    });
    return await killed ? succeeded(`${name} is killed.`) : failed("failed", `${name} does not run.`);
  }

  async #start(name: string): Promise<DeedOutcome> {
    const { network } = this.#options;
    if (!network.names.includes(name)) return failed("not_found", `There is no part ${name}.`);
    if (await network.restart(name)) return succeeded(`${name} runs again.`);
    return failed("failed", `${name} runs already.`);
  }

  async #tell(deed: Remote, signal: AbortSignal): Promise<DeedOutcome> {
    const { asked } = this.#options;
    const meant = this.#meantBy(deed);
    const told = meant.filter(({ name }) => asked.running().some((part) => part.name === name));
    if (told.length === 0) return failed("unavailable", "Nothing runs here that could do it.");
    const [name, settings] = wordsOf(deed);
    const does = (connection: AdminConnection) => doDeed(name, { ...DEFAULTS, ...settings }, connection);
    const done = await Promise.allSettled(told.map((part) => asked.call(part, signal, does)));
    const lines = done.flatMap((each) => each.status === "fulfilled" ? [each.value.line] : []);
    // Of those that were told the same, whoever knew the peer has more to say.
    const line = lines.find((line) => line.includes("thrown out")) ?? lines[0];
    if (line === undefined) {
      const errors = done.flatMap((each) => each.status === "rejected" ? [each.reason] : []);
      throw errors.find((error) => !isNotFound(error)) ?? errors[0];
    }
    if (!isBlock(deed)) return succeeded(line);
    const reached = told.filter((_, at) => hasHeard(done[at]!));
    const missed = meant.filter((part) => !reached.includes(part));
    const subject = subjectOf(deed);
    for (const part of reached) this.#options.untold.forget({ part, subject });
    for (const part of missed) {
      this.#options.untold.keep({ part, subject, tell: (later) => asked.call(part, later, does) });
    }
    return succeeded([blockLine(deed, line), ...missed.map(missedLine)].join(" "));
  }

  /** Who is to do it, whether it runs or not. */
  #meantBy(deed: Remote): AskedPart[] {
    const { asked } = this.#options.network;
    const supernodes = asked.filter(({ role }) => role === "supernode");
    switch (deed.kind) {
      case "drain":
      case "undrain":
        return supernodes.filter(({ peerId }) => peerId === deed.supernodeId);
      case "block":
      case "unblock":
        return asked.filter(({ peerId }) => peerId !== deed.supernodeId);
      case "revoke":
      case "unrevoke":
        return [...asked];
      case "end_session":
      case "push":
        return supernodes;
    }
  }
}

function isBlock(deed: Remote): deed is BlockDeed {
  return ["block", "unblock", "revoke", "unrevoke"].includes(deed.kind);
}

function subjectOf(deed: BlockDeed): string {
  return "peerId" in deed ? deed.peerId : deed.supernodeId;
}

/** In words for a page, which knows nothing of commands. */
function blockLine(deed: BlockDeed, line: string): string {
  const subject = subjectOf(deed);
  const wasHere = line.includes("thrown out");
  switch (deed.kind) {
    case "revoke":
      return `${subject} ${wasHere ? "is thrown out" : "was not connected here"}, and is not let in any more.`;
    case "block":
      return `${subject} ${wasHere ? "is thrown out" : "was not connected here"}, and is not dealt with any more.`;
    case "unrevoke":
      return `${subject} may come again.`;
    case "unblock":
      return `${subject} is dealt with again.`;
  }
}

function missedLine({ name }: AskedPart): string {
  return `${name} does not answer now, and is told as soon as it does.`;
}

/** That there is nothing to be lifted is as good. */
function hasHeard(done: PromiseSettledResult<unknown>): boolean {
  return done.status === "fulfilled" || isNotFound(done.reason);
}

function isNotFound(error: unknown): boolean {
  return error instanceof CulvertError && error.code === "not_found";
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

/**
 * One orchestrator that a node shares through: its tunnels, and what is to be said of it to the node's owner.
 */

import { NodeClient, type NodeClientOptions, type NodeEvent } from "../../net/sharing/node_client.ts";
import { deadline } from "../../protocol/clock.ts";
import { messageOf } from "../../protocol/errors.ts";
import type { NodeRefusal, Refused, StandingNote } from "../../protocol/sharing/node_messages.ts";
import { endOf, type Pause } from "./pauses.ts";
import type { UplinkReport } from "./status.ts";

export interface UplinkOptions extends Omit<NodeClientOptions, "onEvent"> {
  /** A tunnel is up: who the orchestrator is, and the address it sees this node at. */
  onUp(orchestratorId: string, address: string): void;
  /** It takes this node no more. */
  onRefused(): void;
}

const EARNINGS_WITHIN_MS = 5_000;

export class Uplink implements Disposable {
  readonly client: NodeClient;
  readonly #options: UplinkOptions;
  #standing: StandingNote | undefined;
  #notice: string | undefined;
  #isEnding = false;

  /** Begins to connect. */
  constructor(options: UplinkOptions) {
    this.#options = options;
    this.client = new NodeClient({ ...options, onEvent: (event) => this.#hear(event) });
  }

  get url(): string {
    return this.#options.url;
  }

  get isUp(): boolean {
    return this.client.tunnels > 0;
  }

  /** What the owner has to do before the orchestrator takes this node again. */
  get refusal(): string | undefined {
    const { refusal } = this.client;
    return refusal && refusalText(refusal);
  }

  /** Tells the orchestrator; none: the node shares again. */
  pause(pauses: readonly Pause[]): void {
    const [first] = pauses;
    if (first) this.client.pause(first.reason, endOf(pauses));
    else this.client.resume();
  }

  /** With what was earned, if the orchestrator says. */
  async report(signal: AbortSignal): Promise<UplinkReport> {
    const { client, refusal } = this;
    const { orchestratorId, welcome } = client;
    return {
      url: this.url,
      ...orchestratorId !== undefined && { orchestratorId },
      tunnels: client.tunnels,
      ...refusal !== undefined && { refusal },
      ...welcome && {
        virtualAddress: welcome.virtualAddress,
        address: welcome.address,
        region: welcome.region,
        prices: welcome.prices,
      },
      ...this.#standing && { standing: this.#standing },
      ...this.#notice !== undefined && { notice: this.#notice },
      ...await this.#earnings(signal),
    };
  }

  /** Takes nothing new, and ends with the last stream or the signal. */
  async drain(signal: AbortSignal): Promise<void> {
    this.#isEnding = true;
    await this.client.drain(signal);
  }

  [Symbol.dispose](): void {
    this.#isEnding = true;
    this.client.close();
  }

  async #earnings(signal: AbortSignal): Promise<Pick<UplinkReport, "earnings" | "earningsProblem">> {
    if (!this.isUp) return {};
    using limit = deadline(this.#options.clock, EARNINGS_WITHIN_MS, "ask what was earned", signal);
    try {
      return { earnings: await this.client.earnings(limit.signal) };
    } catch (error) {
      return { earningsProblem: messageOf(error) };
    }
  }

  #hear(event: NodeEvent): void {
    const { log, onUp, onRefused } = this.#options;
    const orchestrator = this.url;
    switch (event.kind) {
      case "welcome": {
        const { welcome, orchestratorId, tunnel } = event;
        this.#standing = welcome.standing;
        const facts = { orchestrator, tunnel, address: welcome.virtualAddress, region: welcome.region };
        log.info("The orchestrator has let this node in", facts);
        return onUp(orchestratorId, welcome.address);
      }
      case "lost":
        if (this.#isEnding) return;
        return log.warn("A tunnel to the orchestrator was lost", { orchestrator, tunnel: event.tunnel });
      case "refused":
        if (!event.isFinal) {
          return log.warn("The orchestrator refused for now", { orchestrator, ...told(event.refused) });
        }
        log.error("The orchestrator takes this node no more", { orchestrator, ...told(event.refused) });
        return onRefused();
      case "notice":
        this.#notice = event.text;
        this.#standing = event.standing ?? this.#standing;
        return log.info("The orchestrator says", {
          orchestrator,
          text: event.text,
          standing: this.#standing?.standing,
        });
      case "drain":
        return log.info("The orchestrator is going down", { orchestrator, reason: event.reason });
    }
  }
}

function told({ code, reason }: Refused): { readonly code: string; readonly reason: string } {
  return { code, reason };
}

const WHAT_TO_DO: Partial<Record<NodeRefusal, string>> = {
  unknown_node: "it does not know this node: give --code with an enrolment code from its page",
  bad_code: "the enrolment code is of no use there: get another from its page",
  consent_needed: "it wants consent to another text: this program and the orchestrator are of different versions",
  unsupported_version: "this program and the orchestrator are of different versions",
};

function refusalText({ code, reason }: Refused): string {
  return WHAT_TO_DO[code] ?? `${code}: ${reason}`;
}

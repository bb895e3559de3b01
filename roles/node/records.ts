/**
 * What a node keeps in its state directory beside its keys.
 *
 *   node.json         for each orchestrator: who it has shown itself to be, and the owner's consent; whether the owner has
 *                     paused the node
 *   node-usage.json   what was shared (`usage.ts`), written a few times a second at full speed
 *
 * Both are written as private files are: whole or not at all, and on the disk before anybody relies on them.
 */

import { z } from "zod";
import type { Clock } from "../../protocol/clock.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { peerIdSchema, timeSchema } from "../../protocol/fields.ts";
import { type Usage, usageSchema } from "../../protocol/sharing/data_caps.ts";
import { consentSchema } from "../../protocol/sharing/records.ts";
import { StateDirectory } from "../state.ts";

const RECORDS_FILE = "node.json";
const USAGE_FILE = "node-usage.json";

const recordsSchema = z.object({
  orchestrators: z.record(
    z.string().max(2048),
    z.object({ orchestratorId: peerIdSchema.optional(), consent: consentSchema.optional() }),
  ),
  pause: z.object({ untilMs: timeSchema.optional() }).optional(),
});

export type NodeRecords = z.infer<typeof recordsSchema>;
export type OrchestratorRecord = NodeRecords["orchestrators"][string];

const NOTHING: NodeRecords = { orchestrators: {} };

export class NodeFiles {
  readonly #state: StateDirectory;
  readonly #clock: Clock;

  private constructor(state: StateDirectory, clock: Clock) {
    this.#state = state;
    this.#clock = clock;
  }

  static async open(stateDir: string, clock: Clock): Promise<NodeFiles> {
    return new NodeFiles(await StateDirectory.open(stateDir), clock);
  }

  async records(): Promise<NodeRecords> {
    return await this.#read(RECORDS_FILE, recordsSchema) ?? NOTHING;
  }

  /** Changes them, with nobody else at it meanwhile. */
  async change(change: (records: NodeRecords) => NodeRecords): Promise<NodeRecords> {
    using lock = await this.#state.lock({ clock: this.#clock });
    const records = change(await this.records());
    await lock.replace(RECORDS_FILE, encode(records));
    return records;
  }

  /** Changes what is kept of one orchestrator. */
  async changeOrchestrator(url: string, change: Partial<OrchestratorRecord>): Promise<void> {
    await this.change(({ orchestrators, ...rest }) => ({
      ...rest,
      orchestrators: { ...orchestrators, [url]: { ...orchestrators[url], ...change } },
    }));
  }

  /** The owner's own; undefined: none. */
  async setPause(pause: NodeRecords["pause"]): Promise<void> {
    await this.change(({ orchestrators }) => ({ orchestrators, ...pause && { pause } }));
  }

  usage(): Promise<Usage | undefined> {
    return this.#read(USAGE_FILE, usageSchema);
  }

  async writeUsage(usage: Usage): Promise<void> {
    using lock = await this.#state.lock({ clock: this.#clock });
    await lock.replace(USAGE_FILE, encode(usage));
  }

  /** Undefined when there is no such file. One that is damaged is no reason to share without limits. */
  async #read<T>(name: string, schema: z.ZodType<T>): Promise<T | undefined> {
    const bytes = await this.#state.read(name);
    if (!bytes) return undefined;
    const parsed = schema.safeParse(jsonOf(bytes));
    if (parsed.success) return parsed.data;
    throw new CulvertError(
      "corrupt_file",
      `Cannot read ${this.#state.pathOf(name)}: it must be as this program writes it. Move it away to begin anew`,
    );
  }
}

function encode(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value) + "\n");
}

function jsonOf(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
}

/**
 * Base: the real directory on stores in memory, which outlive its program.
 */

import type { Hono } from "hono";
import { createDirectory, type DirectoryEnv } from "../../edge/directory.ts";
import { requestLimits } from "../../edge/directory/admission.ts";
import { createMemoryBlocks } from "../../kv/blocks.ts";
import { createMemoryDirectory, type DirectoryStore } from "../../kv/directory.ts";
import { createMemoryNonces, type NonceStore } from "../../kv/nonces.ts";
import type { Host } from "./network.ts";
import type { World } from "./world.ts";

export const BASE_URL = new URL("https://base.sim/");

export class BaseNode {
  readonly host: Host;
  readonly store: DirectoryStore;
  readonly #world: World;
  readonly #nonces: NonceStore;
  readonly #blocks = createMemoryBlocks();
  upSinceMs = 0;

  constructor(world: World, region: string) {
    this.#world = world;
    this.host = world.network.host("base", region);
    this.store = createMemoryDirectory(world.clock);
    this.#nonces = createMemoryNonces(world.clock);
  }

  get isUp(): boolean {
    return this.host.program !== undefined;
  }

  start(): void {
    const { network, slots, random, primitives, clock } = this.#world;
    const program = network.start(this.host, slots.program());
    const app: Hono<DirectoryEnv> = createDirectory({
      clock: program.clock,
      primitives,
      store: this.store,
      nonces: this.#nonces,
      blocks: this.#blocks,
      limits: requestLimits(random),
      version: "0.0.0",
      log: this.#world.logOf("base"),
    });
    program.answer = async (request, remoteAddress) => await app.fetch(request, { remoteAddress });
    this.upSinceMs = clock.now();
  }

  kill(): void {
    if (this.host.program) this.#world.network.end(this.host.program, "reset");
  }
}

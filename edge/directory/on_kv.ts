/**
 * Base with everything it remembers in one key-value store, under keys that begin with "base". Every process that is
 * given the same store serves the same base.
 */

import type { Hono } from "hono";
import { BLOCKS_SPACE, createKvBlocks } from "../../kv/blocks.ts";
import { createKvDirectory } from "../../kv/directory.ts";
import { createKvNonces } from "../../kv/nonces.ts";
import type { Random } from "../../protocol/random.ts";
import { createDirectory, type DirectoryDeps, type DirectoryEnv } from "../directory.ts";
import { requestLimits } from "./admission.ts";

export interface DirectoryOnKvOptions extends Omit<DirectoryDeps, "store" | "nonces" | "blocks" | "limits"> {
  readonly random: Random;
}

export function createDirectoryOnKv(kv: Deno.Kv, options: DirectoryOnKvOptions): Hono<DirectoryEnv> {
  const { random, ...deps } = options;
  const space = { space: "base" };
  return createDirectory({
    ...deps,
    store: createKvDirectory(kv, deps.clock, space),
    nonces: createKvNonces(kv, deps.clock, space),
    blocks: createKvBlocks(kv, deps.clock, { space: BLOCKS_SPACE }),
    limits: requestLimits(random),
  });
}

/**
 * How `culvert admin` finds the supernode on its machine: a file in the supernode's state directory says where its
 * administrators' API is and, when the token was made up for this run, what it is. Who may read the file (mode 0600) is an
 * administrator. A token that somebody has chosen is not written down: they know it.
 *
 *   admin.json    { "url": "http://127.0.0.1:40123", "token": "…" }      there while the supernode runs
 */

import { z } from "zod";
import type { Clock } from "../protocol/clock.ts";
import { CulvertError } from "../protocol/errors.ts";
import { StateDirectory } from "./state.ts";

const FILE = "admin.json";

const accessSchema = z.object({ url: z.url(), token: z.string().min(1).optional() });
export type AdminAccess = z.infer<typeof accessSchema>;

/** Writes it down; disposing removes it, unless another supernode has put its own there. */
export async function offerAdminAccess(
  stateDir: string,
  access: AdminAccess,
  { clock }: { readonly clock: Clock },
): Promise<AsyncDisposable> {
  const state = await StateDirectory.open(stateDir);
  const text = JSON.stringify(access);
  {
    using lock = await state.lock({ clock });
    await lock.replace(FILE, new TextEncoder().encode(text));
  }
  return {
    async [Symbol.asyncDispose]() {
      if (await readText(state).catch(() => undefined) === text) await Deno.remove(state.pathOf(FILE)).catch(() => {});
    },
  };
}

/** Where the supernode of this state directory is; undefined when none has said so. */
export async function findAdminAccess(
  stateDir: string,
): Promise<{ readonly access: AdminAccess; readonly path: string } | undefined> {
  try {
    await Deno.stat(stateDir); // opening would make it
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  const state = await StateDirectory.open(stateDir);
  const path = state.pathOf(FILE);
  const text = await readText(state);
  if (text === undefined) return undefined;
  const parsed = accessSchema.safeParse(parseJson(text));
  if (parsed.success) return { access: parsed.data, path };
  throw new CulvertError("corrupt_file", `Cannot read ${path}: it must be as a supernode writes it`);
}

async function readText(state: StateDirectory): Promise<string | undefined> {
  const bytes = await state.read(FILE);
  return bytes && new TextDecoder().decode(bytes);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

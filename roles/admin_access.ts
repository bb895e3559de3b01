/**
 * How `culvert admin` finds the supernode or the base on its machine: a file in the state directory says where the
 * administrators' API is and, when the token was made up for this run, what it is. Who may read the file (mode 0600) is an
 * administrator. A token that somebody has chosen is not written down: they know it.
 *
 *   admin.json        { "url": "http://127.0.0.1:40123", "token": "…" }      there while the supernode runs
 *   base-admin.json   the same of base, since the two may share a directory
 */

import { z } from "zod";
import type { Clock } from "../protocol/clock.ts";
import { CulvertError } from "../protocol/errors.ts";
import { StateDirectory } from "./state.ts";

/** Who has administrators, and its file. */
const FILES = { supernode: "admin.json", base: "base-admin.json" } as const;
export type AdminRole = keyof typeof FILES;

const accessSchema = z.object({ url: z.url(), token: z.string().min(1).optional() });
export type AdminAccess = z.infer<typeof accessSchema>;

export interface FoundAccess {
  readonly role: AdminRole;
  readonly access: AdminAccess;
  readonly path: string;
}

export interface OfferOptions {
  readonly role: AdminRole;
  readonly stateDir: string;
  readonly clock: Clock;
}

/** Writes it down; disposing removes it, unless another process has put its own there. */
export async function offerAdminAccess(
  access: AdminAccess,
  { role, stateDir, clock }: OfferOptions,
): Promise<AsyncDisposable> {
  const state = await StateDirectory.open(stateDir);
  const file = FILES[role];
  const text = JSON.stringify(access);
  {
    using lock = await state.lock({ clock });
    await lock.replace(file, new TextEncoder().encode(text));
  }
  return {
    async [Symbol.asyncDispose]() {
      if (await readText(state, file).catch(() => undefined) !== text) return;
      await Deno.remove(state.pathOf(file)).catch(() => {});
    },
  };
}

/** What runs with this state directory, the supernode first; empty when none has said so. */
export async function findAdminAccess(stateDir: string): Promise<FoundAccess[]> {
  try {
    await Deno.stat(stateDir); // opening would make it
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
  const state = await StateDirectory.open(stateDir);
  const found: FoundAccess[] = [];
  for (const [role, file] of Object.entries(FILES) as [AdminRole, string][]) {
    const text = await readText(state, file);
    if (text === undefined) continue;
    const path = state.pathOf(file);
    const parsed = accessSchema.safeParse(parseJson(text));
    if (!parsed.success) {
      throw new CulvertError("corrupt_file", `Cannot read ${path}: it must be as a ${role} writes it`);
    }
    found.push({ role, access: parsed.data, path });
  }
  return found;
}

async function readText(state: StateDirectory, file: string): Promise<string | undefined> {
  const bytes = await state.read(file);
  return bytes && new TextDecoder().decode(bytes);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * Opens the key-value store that the stores of this folder keep their records in.
 *
 *   a path        one SQLite file, which several processes of this machine may open at once
 *   :memory:      as long as the process; for tests and trials
 *   an https URL  Deno Deploy's or a self-hosted denokv; its token is in DENO_KV_ACCESS_TOKEN
 *
 *   undefined     Deno's own: on Deno Deploy the app's, elsewhere a file in Deno's folder. Roles always give a path
 */

import { CulvertError } from "../protocol/errors.ts";
import { storeError } from "./store_error.ts";

/** Opens a store. Throws `invalid_option` for a location that names none, else what `store_error.ts` says. */
export async function openKv(location: string | undefined): Promise<Deno.Kv> {
  const problem = location === undefined ? undefined : problemOf(location);
  if (problem) throw new CulvertError("invalid_option", `Cannot open a store: ${problem}`);
  try {
    return await Deno.openKv(location);
  } catch (error) {
    throw storeError(location === undefined ? "open Deno's own store" : `open the store ${location}`, error);
  }
}

function problemOf(location: string): string | undefined {
  if (location === "") return 'its location must be a path, ":memory:" or an https URL, got ""';
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(location)) return undefined;
  const url = URL.parse(location);
  if (url?.protocol === "https:") return undefined;
  // The access token would be there for everybody on the way to read.
  if (url?.protocol === "http:" && isLoopback(url.hostname)) return undefined;
  return `its URL must begin with https://, or http:// on this machine, got ${location}`;
}

function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname === "[::1]" || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}

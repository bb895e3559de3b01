/**
 * Runs a program that weighs things after collecting garbage, and prints what it found as JSON. A process of its own,
 * because the collector is at hand only where V8 was told so, and because nothing else may be on its heap.
 */

import { fromFileUrl } from "@std/path";

/** `weigh<Weight>(new URL("./fixtures/many_peers.ts", import.meta.url), 10_000)` */
export async function weigh<Weight>(program: URL, count: number): Promise<Weight> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-read", "--no-check", "--v8-flags=--expose-gc", fromFileUrl(program), String(count)],
  }).output();
  if (!success) throw new Error(`Cannot weigh: ${fromFileUrl(program)} failed: ${new TextDecoder().decode(stderr)}`);
  return JSON.parse(new TextDecoder().decode(stdout)) as Weight;
}

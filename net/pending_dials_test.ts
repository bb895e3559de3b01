import { assertEquals, assertRejects } from "@std/assert";
import { DialError } from "../protocol/errors.ts";
import { aborted } from "../protocol/abort.ts";
import { PendingDials } from "./pending_dials.ts";

async function never(signal: AbortSignal): Promise<never> {
  await aborted(signal);
  throw signal.reason;
}

Deno.test("all that are under way fail with the reason, and later ones do not", async () => {
  const pending = new PendingDials();
  const dials = [pending.run(never), pending.run(never)];
  pending.fail(new DialError("path_down", "It is silent"));
  for (const dial of dials) await assertRejects(() => dial, DialError, "It is silent");
  assertEquals(await pending.run(() => Promise.resolve(7)), 7);
});

Deno.test("a caller who gives up is told its own reason", async () => {
  const pending = new PendingDials();
  const caller = new AbortController();
  const dial = pending.run(never, caller.signal);
  caller.abort(new Error("enough"));
  await assertRejects(() => dial, Error, "enough");
  await assertRejects(() => pending.run(never, caller.signal), Error, "enough");
});

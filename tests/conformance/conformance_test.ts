/** The checks of docs/node-protocol.md, against a node that keeps to it and against some that do not. */

import { assert, assertEquals } from "@std/assert";
import { checks } from "./checks.ts";
import { startThinNode, type ThinNodeFault } from "./fixtures/thin_node.ts";
import { filledIn, lineOf } from "./node.ts";
import { runChecks, type Verdict } from "./run_checks.ts";

function failures(verdicts: readonly Verdict[]): string {
  return verdicts.filter(({ holds }) => !holds).map(lineOf).join("\n");
}

Deno.test("a node on our own parts keeps to the protocol", async () => {
  const verdicts = await runChecks((places) => startThinNode(places));
  assertEquals(failures(verdicts), "");
  assertEquals(verdicts.length, checks.length);
  assertEquals(verdicts.filter(({ why }) => why !== undefined), []);
});

const broken: readonly { readonly fault: ThinNodeFault; readonly check: string }[] = [
  { fault: "unsigned consent", check: "its consent is signed" },
  { fault: "no code", check: "it gives its enrolment code" },
  { fault: "no status", check: "it answers pings with how it is doing" },
  { fault: "refuses all streams", check: "it carries a stream both ways" },
  { fault: "dials anything", check: "it refuses private" },
  { fault: "comes back at once", check: "it comes back no sooner" },
];

Deno.test("what a broken node does wrong is found out, and only that", async (t) => {
  for (const { fault, check } of broken) {
    await t.step(fault, async () => {
      const needed = ["it connects", "its hello", check, "it passes over messages"];
      const verdicts = await runChecks((places) => startThinNode(places, [fault]), {
        only: ({ name }) => needed.some((part) => name.includes(part)),
      });
      const failed = verdicts.filter(({ holds }) => !holds);
      assertEquals(failed.length, 1, failures(verdicts));
      assert(failed[0]!.name.includes(check), failures(verdicts));
    });
  }
});

Deno.test("a program that never comes is not asked everything", async () => {
  const verdicts = await runChecks(() => ({ [Symbol.asyncDispose]: () => Promise.resolve() }), { firstMs: 50 });
  assertEquals(verdicts.map(({ holds, why }) => [holds, why]), [[false, "there was not a connection within 50 ms"]]);
});

Deno.test("a node's command line is told where to go", () => {
  const places = { url: "ws://x/", code: "c", orchestrator: "o", port: 1, closedPort: 2 };
  const words = ["node", "--to={url}", "{code}", "{orchestrator}", "{port},{closedPort}", "{else}"];
  assertEquals(filledIn(words, places), ["node", "--to=ws://x/", "c", "o", "1,2", "{else}"]);
});

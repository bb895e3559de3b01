import { assertEquals, assertStringIncludes } from "@std/assert";
import { obey } from "./commands.ts";
import type { WatchedNetwork } from "./watched_network.ts";

/** A network that only writes down what is done to it. */
function fakeNetwork(): WatchedNetwork & { readonly done: string[] } {
  const done: string[] = [];
  return {
    done,
    names: ["client", "exit-1", "exit-2"],
    entrance: "client",
    lines: () => ["exit-2 (killed)"],
    findRoute: () => Promise.resolve({ travel: { hops: [] }, tookMs: 1.25, failedTries: 0 }),
    isTold: () => true,
    isRunning: (name) => name !== "exit-2",
    kill: () => true,
    partsOf: () => ["client", "supernode-north", "exit-1"],
    restart(name) {
      done.push(`start ${name}`);
      return Promise.resolve(name !== "exit-1");
    },
  };
}

async function type(...lines: string[]) {
  const network = fakeNetwork();
  const said: string[] = [];
  const failures = { kill: (part: string) => Promise.resolve(void network.done.push(`kill ${part}`)) };
  async function* typed() {
    yield* lines;
  }
  const { signal } = new AbortController();
  await obey(typed(), { network, failures, signal, print: (line) => said.push(line) });
  return { said, done: network.done };
}

Deno.test("parts are killed and started by their names", async () => {
  const { said, done } = await type("kill exit-1", "", "  start   exit-2 ", "start exit-1");
  assertEquals(done, ["kill exit-1", "start exit-2", "start exit-1"]);
  assertEquals(said, ["exit-2 runs again.", "exit-1 runs already."]);
});

Deno.test("the way and the parts are told", async () => {
  const { said } = await type("route", "parts");
  assertEquals(said[0], "client > supernode-north > exit-1, and back with the page in 1.3 ms");
  assertEquals(said[1], "exit-2 (killed)");
});

Deno.test("what is no command, or about no part, changes nothing and says what there is", async () => {
  const { said, done } = await type("kill everything", "strat exit-1", "help");
  assertEquals(done, []);
  assertEquals(said[0], "kill what? client, exit-1, exit-2");
  assertEquals(said[1], 'No such command: "strat"; did you mean start?');
  assertStringIncludes(said.at(-1)!, "parts");
});

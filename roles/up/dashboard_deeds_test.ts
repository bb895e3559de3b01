import { assertEquals, assertStringIncludes } from "@std/assert";
import { peerId } from "../../kv/fixtures/records.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { silentLog } from "../../protocol/log.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import type { AdminCall, AdminConnection } from "../admin/connection.ts";
import type { z } from "zod";
import { UpDeeds } from "./dashboard_deeds.ts";
import { RETELL_MS, UntoldBlocks } from "./untold_blocks.ts";
import type { AskedPart } from "./watched_network.ts";

const [NORTH, SOUTH, PEER] = [peerId(1), peerId(2), peerId(3)];
const PARTS: readonly AskedPart[] = [
  { name: "base", role: "base", stateDir: "base" },
  { name: "north", role: "supernode", stateDir: "north", peerId: NORTH },
  { name: "south", role: "supernode", stateDir: "south", peerId: SOUTH },
];

interface RigOptions {
  /** Parts that say that there is nothing of the kind. */
  readonly refuses?: readonly string[];
  /** Parts that do not answer. */
  readonly silent?: string[];
  readonly runs?: string[];
  /** Instead of killing. */
  readonly kill?: (onKilled: () => void) => Promise<void>;
}

/** What is asked of whom. */
function rig({ refuses = [], silent = [], runs = ["base", "north", "south"], kill }: RigOptions = {}) {
  const clock = new FakeClock();
  const asked: string[] = [];
  const killed: string[] = [];
  const { promise: recovery } = Promise.withResolvers<void>();
  const connectionTo = (part: string) =>
    ({
      call({ method = "GET", path }: AdminCall<z.ZodType>) {
        asked.push(`${part} ${method} ${path}`);
        if (silent.includes(part)) return Promise.reject(new CulvertError("unreachable", "It is silent"));
        if (refuses.includes(part)) return Promise.reject(new CulvertError("not_found", "There is nothing here"));
        return Promise.resolve({ ok: true, wasConnected: part === "south", streams: 2, result: { status: "applied" } });
      },
    }) as unknown as AdminConnection;
  const isRunning = (name: string) => runs.includes(name) && !killed.includes(name);
  const untold = new UntoldBlocks({ clock, log: silentLog, isRunning });
  const deeds = new UpDeeds({
    untold,
    network: {
      title: "a test",
      names: ["base", "north", "south"],
      asked: PARTS,
      isRunning,
      restart: (name) => Promise.resolve(killed.includes(name)),
      parts: () => [],
      nameOf: () => undefined,
    },
    asked: {
      running: (role) => PARTS.filter((part) => runs.includes(part.name) && (role ?? part.role) === part.role),
      call: (part, _signal, does) => does(connectionTo(part.name)),
    },
    failures: {
      kill(name, onKilled = () => {}) {
        if (kill) return kill(onKilled);
        killed.push(name);
        onKilled();
        return recovery; // which takes a minute
      },
    },
    log: silentLog,
  });
  const act = (deed: Parameters<UpDeeds["act"]>[0]) => deeds.act(deed, new AbortController().signal);
  return { asked, killed, clock, untold, act };
}

Deno.test("a part is killed at once, whatever becomes of streams, and started again", async () => {
  const { act, killed } = rig();
  assertEquals(await act({ kind: "kill_part", name: "south" }), { ok: true, text: "south is killed." });
  assertEquals(killed, ["south"]);
  assertEquals((await act({ kind: "kill_part", name: "south" })).ok, false);
  assertEquals(await act({ kind: "start_part", name: "south" }), { ok: true, text: "south runs again." });
  assertEquals((await act({ kind: "start_part", name: "north" })).ok, false);
  for (const kind of ["kill_part", "start_part"] as const) {
    assertEquals(await act({ kind, name: "../etc" }), {
      ok: false,
      code: "not_found",
      text: "There is no part ../etc.",
    });
  }
});

Deno.test("everybody is told of a block, and whoever knew the peer says what came of it", async () => {
  const { act, asked } = rig();
  const outcome = await act({ kind: "revoke", peerId: PEER, reason: "lost" });
  assertEquals(asked.sort(), ["base POST /v1/blocks", "north POST /v1/blocks", "south POST /v1/blocks"]);
  assertStringIncludes(outcome.text, `${PEER} is thrown out`);
});

Deno.test("who does not run when somebody is shut out is named, and told when it runs again", async () => {
  const runs = ["base", "north"];
  const { act, asked, clock, untold } = rig({ runs });
  const outcome = await act({ kind: "revoke", peerId: PEER });
  const done = `${PEER} was not connected here, and is not let in any more.`;
  assertEquals(outcome, { ok: true, text: `${done} south does not answer now, and is told as soon as it does.` });
  await clock.advanceAsync(10 * RETELL_MS);
  assertEquals(asked, ["base POST /v1/blocks", "north POST /v1/blocks"]);
  runs.push("south");
  await clock.advanceAsync(RETELL_MS);
  assertEquals(asked.slice(2), ["south POST /v1/blocks"]);
  assertEquals([untold.size, clock.pendingTimers], [0, 0]);
});

Deno.test("who runs and does not answer is told in the end, and of one peer only the newest", async () => {
  const silent = ["north"];
  const { act, asked, clock, untold } = rig({ silent });
  await act({ kind: "revoke", peerId: PEER });
  assertStringIncludes((await act({ kind: "unrevoke", peerId: PEER })).text, "may come again. north does not answer");
  assertEquals(untold.size, 1);
  silent.pop();
  asked.length = 0;
  await clock.advanceAsync(RETELL_MS);
  assertEquals(asked, [`north DELETE /v1/blocks/peer/${PEER}`]);
  // Whoever is told again in time is not told twice.
  silent.push("north");
  await act({ kind: "revoke", peerId: PEER });
  silent.pop();
  await act({ kind: "revoke", peerId: PEER });
  assertEquals([untold.size, clock.pendingTimers], [0, 1]);
  untold[Symbol.dispose]();
  assertEquals(clock.pendingTimers, 0);
});

Deno.test("a kill that fails, and one of what another has killed meanwhile, are told as such", async () => {
  const failing = rig({ kill: () => Promise.reject(new Error("no way")) });
  const failed = { ok: false, code: "failed" } as const;
  assertEquals(await failing.act({ kind: "kill_part", name: "south" }), { ...failed, text: "no way" });
  const late = rig({ kill: () => Promise.resolve() });
  assertEquals(await late.act({ kind: "kill_part", name: "south" }), { ...failed, text: "south does not run." });
});

Deno.test("a supernode is blocked at the others, and drained by itself", async () => {
  const { act, asked } = rig();
  await act({ kind: "block", supernodeId: SOUTH });
  await act({ kind: "drain", supernodeId: SOUTH });
  assertEquals(asked, ["base POST /v1/blocks", "north POST /v1/blocks", "south POST /v1/drain"]);
});

Deno.test("a session ends wherever it is; that one supernode does not know it is no failure", async () => {
  const deed = { kind: "end_session", sessionId: "A".repeat(22) } as const;
  assertEquals((await rig({ refuses: ["north"] }).act(deed)).ok, true);
  const nowhere = await rig({ refuses: ["north", "south"] }).act(deed);
  assertEquals(nowhere, { ok: false, code: "not_found", text: "There is nothing here" });
});

Deno.test("what nobody can do, and what is no order, is refused in words", async () => {
  const { act, asked } = rig({ runs: ["base"] });
  assertEquals(await act({ kind: "undrain", supernodeId: SOUTH }), {
    ok: false,
    code: "unavailable",
    text: "Nothing runs here that could do it.",
  });
  const orders: unknown[] = [null, 1, {}, { kind: "DANCE" }, { kind: "DISCONNECT", payload: { reason: "because" } }];
  for (const order of orders) {
    const outcome = await rig().act({ kind: "push", peerId: PEER, order });
    assertEquals([outcome.ok, !outcome.ok && outcome.code], [false, "bad_request"]);
  }
  for (const wrong of ["", "nonsense", "a".repeat(1000)]) {
    assertEquals((await rig().act({ kind: "revoke", peerId: wrong })).ok, false);
    assertEquals((await rig().act({ kind: "end_session", sessionId: `../${wrong}` })).ok, false);
  }
  assertEquals(asked, []);
});

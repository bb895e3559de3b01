import { assertEquals, assertStringIncludes } from "@std/assert";
import { peerId } from "../../kv/fixtures/records.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { silentLog } from "../../protocol/log.ts";
import type { AdminCall, AdminConnection } from "../admin/connection.ts";
import type { z } from "zod";
import { UpDeeds } from "./dashboard_deeds.ts";
import type { AskedPart } from "./watched_network.ts";

const [NORTH, SOUTH, PEER] = [peerId(1), peerId(2), peerId(3)];
const PARTS: readonly AskedPart[] = [
  { name: "base", role: "base", stateDir: "base" },
  { name: "north", role: "supernode", stateDir: "north", peerId: NORTH },
  { name: "south", role: "supernode", stateDir: "south", peerId: SOUTH },
];

/** What is asked of whom; a part that is in `refuses` says that there is nothing of the kind. */
function rig({ refuses = [], runs = ["base", "north", "south"] }: { refuses?: string[]; runs?: string[] } = {}) {
  const asked: string[] = [];
  const killed: string[] = [];
  const { promise: recovery } = Promise.withResolvers<void>();
  const connectionTo = (part: string) =>
    ({
      call({ method = "GET", path }: AdminCall<z.ZodType>) {
        asked.push(`${part} ${method} ${path}`);
        if (refuses.includes(part)) return Promise.reject(new CulvertError("not_found", "There is nothing here"));
        return Promise.resolve({ ok: true, wasConnected: part === "south", streams: 2, result: { status: "applied" } });
      },
    }) as unknown as AdminConnection;
  const deeds = new UpDeeds({
    network: {
      title: "a test",
      names: ["base", "north", "south"],
      asked: PARTS,
      isRunning: (name) => runs.includes(name) && !killed.includes(name),
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
        killed.push(name);
        onKilled();
        return recovery; // which takes a minute
      },
    },
    log: silentLog,
  });
  return { asked, killed, act: (deed: Parameters<UpDeeds["act"]>[0]) => deeds.act(deed, new AbortController().signal) };
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

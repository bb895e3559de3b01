/**
 * An exit that is killed at each of its writes, just before it is kept and just after, while sessions are set up and
 * ended. Its supernode, which is played here, asks again until it is answered.
 */

import { assert, assertEquals } from "@std/assert";
import { type AppliedStore, createKvApplied } from "../../kv/applied_commands.ts";
import { openKv } from "../../kv/open.ts";
import { createKvServedSessions, type ServedSessionStore } from "../../kv/served_sessions.ts";
import { hostPrimitives } from "../../net/host_primitives.ts";
import type { SessionServer } from "../../net/session_server.ts";
import { type Clock, clockOf } from "../../protocol/clock.ts";
import type { Command } from "../../protocol/control/commands.ts";
import { encodeBase64, encodeBase64Url } from "../../protocol/encoding.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { silentLog } from "../../protocol/log.ts";
import { noMetrics } from "../../protocol/metrics.ts";
import { settle } from "../../testing/fake_clock.ts";
import { CommandDesk } from "../peer/commands.ts";
import { FakePackets } from "./packets/fixtures/fake_packets.ts";
import { exitHandlers, restoreSessions } from "./sessions.ts";

const SUPERNODE = "a".repeat(26);
const CLIENT_KEY = encodeBase64(new Uint8Array(32).fill(9));
const idOf = (number: number) => encodeBase64Url(new Uint8Array(16).fill(number));

interface Crash {
  readonly at: number;
  readonly when: "before" | "after";
}

/** The process: what it keeps, it keeps in the KV; the rest is gone once it is killed. */
class Exit {
  readonly served = new Set<string>();
  readonly packets: FakePackets;
  readonly answers = new Map<string, string>();
  writes = 0;
  isDead = false;
  #desk!: CommandDesk;
  readonly #clock: Clock;
  readonly #crash: Crash | undefined;
  readonly #applied: AppliedStore;
  readonly #sessions: ServedSessionStore;

  constructor(kv: Deno.Kv, crash?: Crash) {
    // A store that fails is tried again at once.
    this.#clock = { ...clockOf(globalThis), after: (_, then) => clockOf(globalThis).after(0, then) };
    this.#crash = crash;
    this.packets = new FakePackets(this.#clock);
    this.#applied = createKvApplied(kv, this.#clock, { space: "exit" });
    this.#sessions = createKvServedSessions(kv, this.#clock, { space: "exit" });
  }

  async start(): Promise<void> {
    const store = {
      ...this.#sessions,
      save: (session: Parameters<ServedSessionStore["save"]>[0]) => this.#write(() => this.#sessions.save(session)),
      remove: (sessionId: string) => this.#write(() => this.#sessions.remove(sessionId)),
    };
    const server = {
      setUp: ({ sessionId }: { sessionId: string }) => void this.served.add(sessionId),
      remove: (sessionId: string) => this.served.delete(sessionId),
      expiryOf: (sessionId: string) => this.served.has(sessionId) ? Infinity : undefined,
    } as unknown as SessionServer;
    const packets = this.packets.service;
    await restoreSessions({ server, store, packets });
    this.#desk = await CommandDesk.open({
      store: {
        load: () => this.#applied.load(),
        save: (change) => this.#write(() => this.#applied.save(change)),
      },
      handlers: exitHandlers({
        server,
        store,
        packets,
        primitives: hostPrimitives(),
        network: undefined,
        clock: this.#clock,
        log: silentLog,
        supernodeId: () => SUPERNODE,
        isDraining: () => false,
      }),
      answer: ({ commandId, status }) => void (this.isDead || this.answers.set(commandId, status)),
      onFault: () => {},
      clock: this.#clock,
      log: silentLog,
      metrics: noMetrics,
    });
  }

  /** Settles with the answer, or with nothing once it has been killed. */
  async tell(command: Command): Promise<string | undefined> {
    this.#desk.receive(command, { supernodeId: SUPERNODE, serverTimeMs: this.#clock.wallNow() });
    while (!this.isDead && !this.answers.has(command.commandId)) await settle();
    if (this.isDead) this.#desk.close();
    await this.#desk.closed();
    return this.isDead ? undefined : this.answers.get(command.commandId);
  }

  async #write(act: () => Promise<void>): Promise<void> {
    const killed = new CulvertError("store_closed", "The process has been killed");
    if (this.isDead) throw killed;
    if (++this.writes !== this.#crash?.at) return await act();
    this.isDead = true;
    if (this.#crash.when === "after") await act();
    throw killed;
  }
}

function commands(): Command[] {
  const issuedAtMs = Date.now();
  const common = { type: "command", issuedAtMs, deadlineAtMs: issuedAtMs + 60_000 } as const;
  const payload = { clientPeerId: SUPERNODE, clientWireguardKey: CLIENT_KEY, expiresAtMs: issuedAtMs + 3_600_000 };
  const setUp = (number: number): Command => ({
    ...common,
    kind: "SETUP_EXIT",
    commandId: idOf(number),
    sequence: number,
    sessionId: idOf(100 + number),
    payload: { ...payload, expiresAtMs: payload.expiresAtMs + number, packets: { relay: `192.0.2.1:${number}` } },
  });
  const end: Command = {
    ...common,
    kind: "DISCONNECT",
    commandId: idOf(3),
    sequence: 3,
    sessionId: idOf(101),
    payload: { reason: "client_left" },
  };
  return [setUp(1), setUp(2), end];
}

/** Gives how many writes it took; the exit is killed at one of them and started again. */
async function live(crash?: Crash): Promise<number> {
  using kv = await openKv(":memory:");
  let exit = new Exit(kv, crash);
  await exit.start();
  for (const command of commands()) {
    let status = await exit.tell(command);
    if (status === undefined) {
      exit = new Exit(kv);
      await exit.start();
      status = await exit.tell(command);
    }
    assertEquals(status, "applied");
  }
  assertEquals([...exit.served], [idOf(102)]);
  const { allowedIps } = exit.packets.peers.get(CLIENT_KEY)!;
  assertEquals([...exit.packets.peers], [[CLIENT_KEY, { endpoint: "192.0.2.1:2", allowedIps }]]);
  const again = new Exit(kv);
  await again.start();
  assertEquals([...again.served], [idOf(102)]);
  assertEquals(again.packets.peers, exit.packets.peers);
  return exit.writes;
}

for (const when of ["before", "after"] as const) {
  Deno.test(`killed ${when} any of its writes, an exit serves what it has been told to, and nothing else`, async (test) => {
    const writes = await live();
    assert(writes > 8);
    for (let at = 1; at <= writes; at++) await test.step(`write ${at}`, async () => void await live({ at, when }));
  });
}

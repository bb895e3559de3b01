/**
 * Minutes of faults by chance, on roles as they are: kills, stops, a locked store, a silent relay. After each of them the
 * client's streams must get through again, and in the end nobody may hold a session that the others do not know.
 *
 *   deno task test:chaos            CHAOS_MINUTES=30 CHAOS_SEED=7 deno task test:chaos
 */

import { assert, assertEquals } from "@std/assert";
import { clockOf, delay } from "../../protocol/clock.ts";
import { randomInt } from "../../protocol/random.ts";
import { formatTarget, parseTarget } from "../../protocol/stream.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { SilentRelay } from "../../testing/silent_relay.ts";
import { eventually } from "../../testing/waiting.ts";
import { StoreLock } from "./fixtures/lock.ts";
import { helloAtLast, type RoleProcess } from "./fixtures/processes.ts";
import { SupernodeUnderTest } from "./fixtures/supernode.ts";

const MINUTES = Number(Deno.env.get("CHAOS_MINUTES") ?? 3);
const SEED = Number(Deno.env.get("CHAOS_SEED") ?? crypto.getRandomValues(new Uint32Array(1))[0]);
const EXITS = ["one", "two", "three"] as const;
const clock = clockOf(globalThis);

class Soak implements AsyncDisposable {
  readonly random = new SeededRandom(SEED);
  readonly supernode = new SupernodeUnderTest();
  readonly exits = new Map<string, RoleProcess>();
  client!: RoleProcess;
  #relay!: SilentRelay;

  async start(): Promise<void> {
    await this.supernode.start();
    this.#relay = SilentRelay.start(parseTarget(new URL(this.#url).host)!);
    for (const name of EXITS) await this.#startExit(name);
    await this.#startClient();
  }

  /** Something bad, over again when it returns. Gives what it was. */
  async harm(): Promise<string> {
    const harms = [
      () => this.#killSupernode(),
      () => this.#killExit(),
      () => this.#killExit(),
      () => this.#killClient(),
      () => this.#stopAWhile(),
      () => this.#lockStore(),
      () => this.#silence(),
    ];
    return await harms[randomInt(this.random, harms.length)]!();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#relay?.[Symbol.asyncDispose]();
    await this.supernode[Symbol.asyncDispose]();
  }

  get #url(): string {
    return this.supernode.process.addresses["supernode"]!;
  }

  /** The first exit is behind the relay. */
  async #startExit(name: string): Promise<void> {
    const at = new URL(this.#url);
    if (name === EXITS[0]) at.host = formatTarget(this.#relay.address);
    const flags = ["--region", "here", "--supernode", at.href];
    this.exits.set(name, await this.supernode.processes.start("exit", name, flags));
  }

  async #startClient(): Promise<void> {
    const flags = ["--listen", "127.0.0.1:0", "--supernode", this.#url];
    this.client = await this.supernode.processes.start("client", "client", flags);
  }

  async #killSupernode(): Promise<string> {
    await this.supernode.process.kill();
    await this.#pause(2_000);
    await this.supernode.start();
    return "the supernode was killed";
  }

  async #killExit(): Promise<string> {
    const name = this.#anExit();
    await this.exits.get(name)!.kill();
    await this.#pause(5_000);
    await this.#startExit(name);
    return `exit ${name} was killed`;
  }

  async #killClient(): Promise<string> {
    await this.client.kill();
    await this.#pause(1_000);
    await this.#startClient();
    return "the client was killed";
  }

  async #stopAWhile(): Promise<string> {
    const name = this.#anExit();
    const { pid } = this.exits.get(name)!.program;
    Deno.kill(pid, "SIGSTOP");
    await this.#pause(40_000);
    Deno.kill(pid, "SIGCONT");
    return `exit ${name} stood still`;
  }

  async #lockStore(): Promise<string> {
    const name = this.#anExit();
    const lock = new StoreLock(this.supernode.kvPath);
    await this.exits.get(name)!.kill();
    const started = this.#startExit(name); // which is let in once the store works
    await this.#pause(10_000);
    lock[Symbol.dispose]();
    await started;
    return `the store was locked, and exit ${name} killed`;
  }

  async #silence(): Promise<string> {
    this.#relay.fallSilent();
    await this.#pause(40_000);
    this.#relay.speakAgain();
    return `exit ${EXITS[0]} was not to be heard`;
  }

  #anExit(): string {
    return EXITS[randomInt(this.random, EXITS.length)]!;
  }

  #pause(mostMs: number): Promise<void> {
    return delay(clock, this.random.next() * mostMs);
  }
}

async function servedCount({ exits }: Soak): Promise<number> {
  let sum = 0;
  for (const exit of exits.values()) {
    sum += Number(/^exit_sessions_active (\d+)$/m.exec(await exit.metrics())?.[1] ?? 0);
  }
  return sum;
}

Deno.test(`${MINUTES} minutes of faults by chance (CHAOS_SEED=${SEED})`, async () => {
  await using soak = new Soak();
  await soak.start();
  const untilMs = clock.now() + MINUTES * 60_000;
  let count = 0;
  while (clock.now() < untilMs) {
    const harm = await soak.harm();
    const startMs = clock.now();
    await helloAtLast(soak.client.addresses["listen"]!);
    console.log(`${++count}. ${harm}: streams get through after ${Math.round(clock.now() - startMs)} ms`);
  }
  assert(count > 0);
  await eventually("exits that serve what the supernode knows, which is what the client uses", async () => {
    const kept = await soak.supernode.keptSessions();
    return kept.length === 1 && await servedCount(soak) === 1;
  }, { limitMs: 180_000 });
  await soak.client.program.stop();
  await eventually("an end of all sessions", async () => (await soak.supernode.keptSessions()).length === 0, {
    limitMs: 180_000,
  });
  assertEquals(await soak.supernode.pendingCount(), 0);
  await eventually("exits that serve nobody", async () => await servedCount(soak) === 0, { limitMs: 60_000 });
});

/**
 * Roles killed between any two steps of what they do to their machine or order each other to do. What a killed one has left
 * is taken away by the next start or by `client down`; what it was told goes on, or is taken back.
 */

import { assertEquals, assertGreater } from "@std/assert";
import { clockOf, delay } from "../../protocol/clock.ts";
import { eventually } from "../../testing/waiting.ts";
import type { Machine } from "./fixtures/machine.ts";
import { assertAsBefore, statesOf } from "./fixtures/machine_state.ts";
import { scenario } from "./fixtures/scenario.ts";
import type { Vpn } from "./fixtures/vpn.ts";

const LOOK_MS = 1;
/** Far more than there are. */
const MAX_STEPS = 100;

/**
 * Kills a role as soon as its machine's journals tell of that many steps; false: it has become ready with fewer. A
 * journal has a line for each step, written before the step is taken.
 */
async function isKilledAt(machine: Machine, step: number, start: () => Promise<unknown>): Promise<boolean> {
  const before = await machine.rolePids();
  let isReady = false, isOver = false;
  const starting = start().then(() => isReady = true, () => {}).finally(() => isOver = true);
  const clock = clockOf(globalThis);
  let pid: number | undefined;
  while (!isOver && pid === undefined) pid = (await machine.rolePids()).find((pid) => !before.includes(pid));
  while (!isOver && stepsOf(machine, pid!) < step) await delay(clock, LOOK_MS);
  if (!isOver) Deno.kill(pid!, "SIGKILL");
  await starting;
  return !isReady;
}

/** What a process has noted since it holds the journals; what it has found there is above its name. */
function stepsOf(machine: Machine, pid: number): number {
  const folder = machine.path("run/culvert/machine");
  try {
    const journals = [...Deno.readDirSync(folder)].filter(({ isFile }) => isFile);
    const texts = journals.map(({ name }) => Deno.readTextFileSync(`${folder}/${name}`));
    return texts.map((text) => text.split(`{"pid":${pid}}`).slice(1).at(-1) ?? "")
      .reduce((sum, text) => sum + text.split("\n").filter((line) => line !== "").length, 0);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return 0;
    throw error;
  }
}

/** Kills it at its first step, at its second, …; gives how many there are. */
async function killAtEachStep(
  machine: Machine,
  start: () => Promise<unknown>,
  after: () => Promise<void>,
): Promise<number> {
  for (let step = 1; step < MAX_STEPS; step++) {
    if (!await isKilledAt(machine, step, start)) return step - 1;
    await after();
  }
  throw new Error(`Cannot go through all steps: there are more than ${MAX_STEPS}`);
}

scenario("a client killed at each step of coming up: `client down` takes all of it away", {}, async (vpn) => {
  const { machine } = vpn.topology.client;
  const before = await statesOf([machine]);
  const steps = await killAtEachStep(machine, () => vpn.startClient(), async () => {
    await vpn.ask("client", ["client", "down"]);
    await assertAsBefore(before);
  });
  assertGreater(steps, 2);
  assertEquals(await vpn.exitInUse(), 0);
});

scenario("an exit killed at each step of its start: the next start takes over, and the last leaves nothing", {
  startsItself: true,
  supernodes: 1,
}, async (vpn) => {
  const { machine } = vpn.topology.exits[0]!;
  const before = await statesOf([machine]);
  await vpn.startBase();
  await vpn.startSupernode(0);
  const steps = await killAtEachStep(machine, () => vpn.startExit(0), () => Promise.resolve());
  assertGreater(steps, 2);
  await vpn.startClient();
  assertEquals(await vpn.exitInUse(), 0);
  await vpn.stopRole("client");
  await vpn.stopRole("exit1");
  await assertAsBefore(before);
});

interface Moment {
  readonly victim: string;
  /** What is said, and by whom, just before it is killed. */
  readonly teller: string;
  readonly says: string;
}

const MOMENTS: readonly Moment[] = [
  { victim: "exit1", teller: "sn-a", says: "A peer has come" },
  { victim: "exit1", teller: "exit1", says: "A command was applied" },
  { victim: "sn-b", teller: "sn-a", says: "A peer has come" },
  { victim: "sn-b", teller: "exit1", says: "A command was applied" },
  { victim: "sn-a", teller: "exit1", says: "A command was applied" },
];

scenario("exit and supernodes killed while a session is made: it is made afterwards, once", {}, async (vpn, test) => {
  for (const { victim, teller, says } of MOMENTS) {
    await test.step(`${victim} is killed when ${teller} says "${says}"`, async () => {
      const before = await vpn.countLogged(teller, says);
      const starting = vpn.startClient();
      starting.catch(() => {}); // heard below
      await vpn.logged(teller, says, before + 1);
      await vpn.kill(victim);
      await restart(vpn, victim);
      await starting;
      assertEquals(await vpn.exitInUse(), 0);
      assertEquals(await vpn.stopRole("client"), 0);
    });
  }
  await assertNothingLeft(vpn);
});

/** A supernode that was away when it should have heard of an end is told within a minute, when the other looks. */
const UNTOLD_MS = 90_000;

/** No session, no relay port, no client at the exit. */
async function assertNothingLeft(vpn: Vpn): Promise<void> {
  const { machine } = vpn.topology.exits[0]!;
  const sessions = async (name: string) => JSON.parse(await vpn.ask(name, ["admin", "sessions", "--json"])).sessions;
  await eventually("all sessions have ended", async () => {
    const all = [...await sessions("sn-a"), ...await sessions("sn-b")];
    return all.every(({ state }: { state: string }) => state === "ended");
  }, { limitMs: UNTOLD_MS });
  await eventually("the exit knows no client", async () => {
    const { stdout } = await machine.run(["wg", "show", "cvexit0", "peers"]);
    return stdout === "";
  }, { limitMs: UNTOLD_MS });
  for (const { machine } of vpn.topology.supernodes) {
    const { stdout } = await machine.run(["ss", "-Huln"]);
    assertEquals(stdout, "", `UDP ports of ${machine.name}`);
  }
}

function restart(vpn: Vpn, name: string): Promise<unknown> {
  return name === "exit1" ? vpn.startExit(0) : vpn.startSupernode(name === "sn-a" ? 0 : 1);
}

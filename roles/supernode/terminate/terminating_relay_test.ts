import { assert, assertEquals, assertRejects } from "@std/assert";
import type { PacketGrant } from "../../../protocol/control/packets.ts";
import { CulvertError } from "../../../protocol/errors.ts";
import type { PeerKeys } from "../../../protocol/fields.ts";
import { parseCidr, parseIp } from "../../../protocol/ip.ts";
import { AddressPool } from "../../exit/packets/address_pool.ts";
import { FakeMachine } from "./fixtures/fake_machine.ts";
import { WireGuardRelay } from "./terminating_relay.ts";

const keyOf = (number: number) => new Uint8Array(32).fill(number);
const textOf = (number: number) => keyOf(number).toBase64();
const CLIENT = textOf(1);
const OTHER_CLIENT = textOf(2);

function exitOf(number: number): PeerKeys {
  return { peerId: `exit${number}`, publicKey: "", wireguardKey: textOf(100 + number), wireguardSignature: "" };
}

const GRANT: PacketGrant = {
  addresses: ["10.201.0.2/32", "fd00:201::2/128"],
  gateways: ["10.201.0.1", "fd00:201::1"],
  dns: ["10.201.0.1"],
  mtu: 1380,
};

async function open({ pool = "10.200.0.0/16" } = {}): Promise<{ machine: FakeMachine; relay: WireGuardRelay }> {
  const machine = new FakeMachine();
  return { machine, relay: await openOn(machine, pool) };
}

function openOn(machine: FakeMachine, pool = "10.200.0.0/16"): Promise<WireGuardRelay> {
  const pools = [pool, "fd00:200::/64"].map((network) => new AddressPool(parseCidr(network)!));
  const ports = { clientPorts: [51_820], exitPorts: [51_830, 51_831, 51_832] };
  const options = { interfaceName: "wg-relay", privateKey: keyOf(9), pools, ...ports, host: "192.0.2.1" };
  return WireGuardRelay.open(options, machine);
}

interface SetUp {
  readonly clientKey?: string;
  readonly exit?: PeerKeys;
  readonly addresses?: readonly string[];
  readonly isResumed?: boolean;
}

async function setUp(relay: WireGuardRelay, sessionId: string, { exit = exitOf(1), ...more }: SetUp = {}) {
  await relay.prepare({ sessionId, exit });
  return await relay.apply({ sessionId, clientPeerId: "client", clientKey: CLIENT, exit, grant: GRANT, ...more });
}

const setsOf = (machine: FakeMachine) => machine.text.filter((line) => line.startsWith("set "));
const linksOf = (machine: FakeMachine) =>
  machine.text.filter((line) => line.startsWith("device ")).map((line) => line.split(/[ :]/)[1]!).sort();

Deno.test("a client is told of this supernode's device, and its packets go to its exit's", async () => {
  const { machine, relay } = await open();
  await using _relay = relay;
  const offer = await setUp(relay, "one");
  const [address, address6] = offer.addresses;
  assertEquals(offer, {
    addresses: [address!, address6!],
    gateways: ["10.200.0.1", "fd00:200::1"],
    dns: ["10.200.0.1"],
    mtu: 1380,
    endpoint: "192.0.2.1:51820",
  });
  assertEquals(machine.device("wg-relay")!.peers, [`${CLIENT} ${address},${address6}`]);
  assertEquals(machine.device("wg-relay-0")!.peers, [`${exitOf(1).wireguardKey} 0.0.0.0/0,::/0`]);
  assertEquals(setsOf(machine), [
    `set clients_52800_ipv4_addr: ${address!.split("/")[0]}`,
    `set clients_52800_ipv6_addr: ${address6!.split("/")[0]}`,
  ]);
});

Deno.test("the same session applied twice has one address and changes nothing", async () => {
  const { machine, relay } = await open();
  await using _relay = relay;
  const offer = await setUp(relay, "one");
  const before = machine.text;
  assertEquals(await setUp(relay, "one"), offer);
  assertEquals(machine.text, before);
  const [again, other] = await Promise.all([setUp(relay, "two"), setUp(relay, "three")]);
  assertEquals([again, other], [offer, offer], "another session of the same client has the same address");
});

Deno.test("clients that come at once get different addresses", async () => {
  const { relay } = await open();
  await using _relay = relay;
  const keys = Array.from({ length: 50 }, (_, at) => textOf(at + 1));
  const offers = await Promise.all(keys.map((clientKey) => setUp(relay, clientKey, { clientKey })));
  assertEquals(new Set(offers.map(({ addresses }) => addresses[0])).size, keys.length);
});

Deno.test("exits are shared, and a tunnel goes with its last session", async () => {
  const { machine, relay } = await open();
  await using _relay = relay;
  const empty = machine.text;
  await setUp(relay, "one");
  await setUp(relay, "two", { clientKey: OTHER_CLIENT });
  await setUp(relay, "three", { clientKey: OTHER_CLIENT, exit: exitOf(2) });
  assertEquals(linksOf(machine), ["wg-relay", "wg-relay-0", "wg-relay-1"]);
  await relay.remove("one");
  await relay.remove("two");
  assertEquals(linksOf(machine), ["wg-relay", "wg-relay-1"]);
  await relay.remove("three");
  await relay.remove("three");
  assertEquals(machine.text, empty);
  assertEquals(
    await relay.prepare({ sessionId: "four", exit: exitOf(3) }),
    51_830,
  );
});

Deno.test("a client's newest session says by which exit its packets go", async () => {
  const { machine, relay } = await open();
  await using _relay = relay;
  const { addresses: [address] } = await setUp(relay, "one");
  const mark = () => setsOf(machine).find((line) => line.endsWith(`_addr: ${address!.split("/")[0]}`))?.split("_")[1];
  assertEquals(mark(), "52800");
  await setUp(relay, "two", { exit: exitOf(2) });
  assertEquals(mark(), "52801");
  await setUp(relay, "one");
  assertEquals(mark(), "52801", "what is applied again is no newer");
  await relay.remove("two");
  assertEquals(mark(), "52800");
});

Deno.test("a session that goes to another exit keeps its client's address", async () => {
  const { machine, relay } = await open();
  await using _relay = relay;
  const offer = await setUp(relay, "one");
  assertEquals(await setUp(relay, "one", { exit: exitOf(2) }), offer);
  assertEquals(linksOf(machine), ["wg-relay", "wg-relay-1"]);
});

Deno.test("a client gets the address it had, if that is free", async () => {
  const { relay } = await open();
  await using _relay = relay;
  const addresses = ["10.200.7.7/32", "fd00:200::7/128"];
  assertEquals((await setUp(relay, "one", { addresses })).addresses, addresses);
  const other = await setUp(relay, "two", { clientKey: OTHER_CLIENT, addresses });
  assert(other.addresses.every((address) => !addresses.includes(address)));
});

Deno.test("when every address is taken a client is told so, and nothing is left of it", async () => {
  const { machine, relay } = await open({ pool: "10.200.0.0/29" });
  await using _relay = relay;
  for (let number = 1; number <= 5; number++) await setUp(relay, `${number}`, { clientKey: textOf(number) });
  const before = machine.text;
  const error = await assertRejects(() => setUp(relay, "6", { clientKey: textOf(6) }), CulvertError);
  assertEquals(error.code, "busy");
  await relay.remove("6");
  assertEquals(machine.text, before);
  await relay.remove("3");
  await setUp(relay, "6", { clientKey: textOf(6) });
});

Deno.test("an exit that does not answer in its tunnel is not used", async () => {
  const { machine, relay } = await open();
  await using _relay = relay;
  await relay.prepare({ sessionId: "one", exit: exitOf(1) });
  const prepared = machine.text;
  machine.answers.set("wg-relay-0", undefined);
  const error = await assertRejects(() => setUp(relay, "one"), CulvertError);
  assertEquals(error.code, "exit_silent");
  assertEquals(machine.text, prepared);
});

Deno.test("an exit that answers no more is told of once, and again only later; probes of its clients say so", async () => {
  const { machine, relay } = await open();
  await using _relay = relay;
  const troubles: string[] = [];
  relay.onTrouble = (exitPeerId) => void troubles.push(exitPeerId);
  const { addresses: [address] } = await setUp(relay, "one");
  const client = parseIp(address!.split("/")[0]!)!;
  await machine.clock.advanceAsync(2_000);
  assertEquals([troubles, machine.isServed(client), relay.isHealthy("exit1")], [[], true, true]);
  machine.answers.set("wg-relay-0", undefined);
  await machine.clock.advanceAsync(1_000);
  assertEquals([troubles, machine.isServed(client), relay.isHealthy("exit1")], [["exit1"], false, false]);
  await machine.clock.advanceAsync(15_000);
  assertEquals(troubles.length, 2);
  machine.answers.delete("wg-relay-0");
  await machine.clock.advanceAsync(1_000);
  assertEquals([machine.isServed(client), machine.isServed(parseIp("10.200.9.9")!)], [true, false]);
});

Deno.test("an exit that grants something else, and then is silent, is told of to those who went there already", async () => {
  const { machine, relay } = await open();
  await using _relay = relay;
  const troubles: string[] = [];
  relay.onTrouble = (exitPeerId) => void troubles.push(exitPeerId);
  const { addresses: [address] } = await setUp(relay, "one");
  const before = machine.text;
  machine.answers.set("wg-relay-0", undefined);
  const [exit, grant] = [exitOf(1), { ...GRANT, addresses: ["10.201.0.3/32"] }];
  await relay.prepare({ sessionId: "two", exit });
  const session = { sessionId: "two", clientPeerId: "client", clientKey: CLIENT, exit, grant };
  assertEquals((await assertRejects(() => relay.apply(session), CulvertError)).code, "exit_silent");
  await relay.remove("two");
  assertEquals(machine.text, before);
  await machine.clock.advanceAsync(1_000);
  assertEquals([troubles, relay.isHealthy("exit1")], [["exit1"], false]);
  machine.answers.delete("wg-relay-0");
  await machine.clock.advanceAsync(1_000);
  assert(machine.isServed(parseIp(address!.split("/")[0]!)!));
});

Deno.test("a tunnel that is being set up for another grant is not taken for a dead one", async () => {
  const { machine, relay } = await open();
  await using _relay = relay;
  const asked = Promise.withResolvers<void>(), answer = Promise.withResolvers<boolean>();
  let ask = () => Promise.resolve(true);
  machine.probe = () => ({ ask: () => ask(), [Symbol.dispose]() {} });
  await setUp(relay, "one");
  ask = () => {
    asked.resolve();
    return answer.promise;
  };
  const grant = { ...GRANT, mtu: 1320 };
  await relay.prepare({ sessionId: "two", exit: exitOf(1) });
  const applied = relay.apply({ sessionId: "two", clientPeerId: "client", clientKey: CLIENT, exit: exitOf(1), grant });
  await asked.promise;
  assertEquals(await relay.prepare({ sessionId: "three", exit: exitOf(1) }), 51_830);
  answer.resolve(true);
  assertEquals((await applied).mtu, 1320);
  assert(relay.isHealthy("exit1"));
});

Deno.test("who shows another client's key as his own does not have that client's packets", async () => {
  const { machine, relay } = await open();
  await using _relay = relay;
  await setUp(relay, "one");
  const before = machine.text;
  await relay.prepare({ sessionId: "two", exit: exitOf(2) });
  const theft = { sessionId: "two", clientPeerId: "thief", clientKey: CLIENT, exit: exitOf(2), grant: GRANT };
  assertEquals((await assertRejects(() => relay.apply(theft), CulvertError)).code, "key_in_use");
  await relay.remove("two");
  assertEquals(machine.text, before);
});

Deno.test("an exit whose own way out is shut is given up when it says so again and again", async () => {
  const { machine, relay } = await open();
  await using _relay = relay;
  await setUp(relay, "one");
  machine.answers.set("wg-relay-0", false);
  await machine.clock.advanceAsync(1_000);
  assert(relay.isHealthy("exit1"));
  await machine.clock.advanceAsync(1_000);
  assert(!relay.isHealthy("exit1"));
});

Deno.test("exits find tunnels at free ports, at the one wished for where that is free", async () => {
  const { machine, relay } = await open();
  await using _relay = relay;
  machine.takenPorts.add(51_830);
  const prepare = (number: number, port?: number) =>
    relay.prepare({ sessionId: `${number}`, exit: exitOf(number), ...(port !== undefined && { port }) });
  assertEquals(await prepare(1), 51_831);
  assertEquals(await prepare(2, 51_832), 51_832);
  assertEquals((await assertRejects(() => prepare(3), CulvertError)).code, "no_port");
  await relay.remove("2");
  assertEquals(await prepare(3, 51_831), 51_832);
});

Deno.test("a tunnel that carries nothing is made anew at another port, for all who use it", async () => {
  const { machine, relay } = await open();
  await using _relay = relay;
  const { addresses: [address] } = await setUp(relay, "one");
  machine.answers.set("wg-relay-0", undefined);
  await machine.clock.advanceAsync(1_000);
  assertEquals(await relay.prepare({ sessionId: "again", exit: exitOf(1), port: 51_830 }), 51_830, "asked for itself");
  assertEquals(await relay.prepare({ sessionId: "two", exit: exitOf(1) }), 51_831);
  await setUp(relay, "two", { clientKey: OTHER_CLIENT });
  assertEquals(linksOf(machine), ["wg-relay", "wg-relay-1"]);
  const sets = setsOf(machine).filter((line) => line.includes(address!.split("/")[0]!));
  assertEquals(sets.map((line) => line.split("_")[1]), ["52801"], "the first client goes by it too");
  assert(machine.isServed(parseIp(address!.split("/")[0]!)!));
  for (const sessionId of ["one", "again", "two"]) await relay.remove(sessionId);
  assertEquals(linksOf(machine), ["wg-relay"]);
});

Deno.test("after a restart an exit is not waited for, and its clients have what they had", async () => {
  const { machine, relay } = await open();
  await using _relay = relay;
  const troubles: string[] = [];
  relay.onTrouble = (exitPeerId) => void troubles.push(exitPeerId);
  machine.answers.set("wg-relay-0", undefined);
  const addresses = ["10.200.7.7/32", "fd00:200::7/128"];
  const offer = await setUp(relay, "one", { addresses, isResumed: true });
  assertEquals(offer.addresses, addresses);
  await machine.clock.advanceAsync(5_000);
  assertEquals([relay.isHealthy("exit1"), troubles], [false, []], "it has a moment to come");
  machine.answers.delete("wg-relay-0");
  await machine.clock.advanceAsync(1_000);
  assert(relay.isHealthy("exit1"));
});

Deno.test("a session that ends while it is set up leaves nothing", async () => {
  const { machine, relay } = await open();
  await using _relay = relay;
  const empty = machine.text;
  const preparing = assertRejects(() => setUp(relay, "one"), CulvertError);
  await relay.remove("one");
  await preparing;
  assertEquals(machine.text, empty);
  await relay.prepare({ sessionId: "two", exit: exitOf(1) });
  const applying = assertRejects(() => setUp(relay, "two"), CulvertError);
  await relay.remove("two");
  await applying;
  assertEquals(machine.text, empty);
});

/** How many steps it takes on a machine. */
async function stepsOf(machine: FakeMachine, act: () => Promise<unknown>): Promise<number> {
  const before = machine.steps;
  await act();
  return machine.steps - before;
}

Deno.test("whichever step fails, what was begun is undone, and the next attempt works", async () => {
  const { machine: whole, relay: first } = await open();
  const steps = await stepsOf(whole, () => setUp(first, "one"));
  await first[Symbol.asyncDispose]();
  assert(steps > 15, `there are ${steps} steps`);
  const survived: number[] = [];
  for (let step = 0; step < steps; step++) {
    const { machine, relay } = await open();
    await using _relay = relay;
    const empty = machine.text;
    machine.failAt = machine.steps + step;
    await setUp(relay, "one").then(() => survived.push(step), () => {});
    await relay.remove("one");
    assertEquals(machine.text, empty, `what is left when step ${step} has failed`);
    await setUp(relay, "one");
    await relay.remove("one");
    assertEquals(machine.text, empty);
  }
  assertEquals(survived.length, 1, "a port that cannot be had is no failure: there are others");
});

Deno.test("a second client whose setting up fails at any step does the first no harm", async () => {
  const second = { clientKey: OTHER_CLIENT, exit: exitOf(2) };
  const { machine: whole, relay: first } = await open();
  await setUp(first, "one");
  const steps = await stepsOf(whole, () => setUp(first, "two", second));
  await first[Symbol.asyncDispose]();
  for (let step = 0; step < steps; step++) {
    const { machine, relay } = await open();
    await using _relay = relay;
    await setUp(relay, "one");
    const before = machine.text;
    machine.failAt = machine.steps + step;
    await setUp(relay, "two", second).catch(() => {});
    machine.failAt = Infinity;
    await relay.remove("two");
    assertEquals(machine.text, before, `when step ${step} has failed`);
  }
});

Deno.test("a relay that cannot be opened leaves nothing, and one that is closed neither", async () => {
  for (let step = 0;; step++) {
    const machine = new FakeMachine();
    machine.failAt = step;
    const relay = await openOn(machine).catch(() => undefined);
    machine.failAt = Infinity;
    if (relay) {
      await setUp(relay, "one");
      await relay[Symbol.asyncDispose]();
    }
    assertEquals(machine.text, [], `when step ${step} has failed`);
    if (relay) return assert(step > 5);
  }
});

Deno.test("what a killed process would leave is in the journal, however long the relay runs", async () => {
  const { machine, relay } = await open();
  await using _relay = relay;
  for (let round = 0; round < 20; round++) {
    await setUp(relay, `${round}`, { exit: exitOf(round % 3) });
    await relay.remove(`${round}`);
  }
  const kinds = machine.undos.map((undo) => undo.kind === "link" ? undo.name : undo.kind);
  assertEquals(kinds, ["firewall", "wg-relay", "wg-relay-0", "rule", "rule"]);
});

import { assert, assertEquals, assertGreater, assertLess } from "@std/assert";
import { randomInt } from "../random.ts";
import { INITIATION_TYPE, RESPONSE_TYPE, TRANSPORT_TYPE } from "./constants.ts";
import { endpointAt, MachineNetwork, type Node } from "./fixtures/machine_network.ts";

const HOUR_MS = 3_600_000;
const STORM = { lossRate: 0.2, doubleRate: 0.2, minDelayMs: 5, maxDelayMs: 400 };

function nodesOf(network: MachineNetwork, count: number): Node[] {
  const nodes = Array.from(
    { length: count },
    (_, at) => network.add({ endpoint: `192.0.2.${at + 1}:1000`, inner: `10.0.0.${at + 1}` }),
  );
  for (const [at, node] of nodes.entries()) for (const other of nodes.slice(at + 1)) network.connect(node, other);
  return nodes;
}

/** Each number that came out came once and was put in. */
function assertNoneTwiceOrInvented(node: Node, sent: number): void {
  assertEquals(new Set(node.heard).size, node.heard.length);
  for (const number of node.heard) assertLess(number, sent);
}

for (const seed of [1, 2, 3]) {
  Deno.test(`two machines talk for two hours over a network that loses, doubles and reorders (seed ${seed})`, () => {
    using network = new MachineNetwork(seed);
    network.records = false;
    network.weather = STORM;
    const [a, b] = nodesOf(network, 2) as [Node, Node];
    let sent = 0;
    network.every(2000, network.nowMs + 2 * HOUR_MS, () => {
      a.talk(b, sent);
      b.talk(a, sent++);
    });
    network.run(2 * HOUR_MS + 1000);
    for (const node of [a, b]) {
      assertNoneTwiceOrInvented(node, sent);
      assertGreater(node.heard.length, sent * 0.77);
      assertGreater(node.machine.counters.replayed, 0);
      assertEquals(node.machine.counters.unauthentic, 0);
      assertLess(node.machine.indicesInUse, 5);
    }
    assertGreater(a.machine.counters.initiationsSent + b.machine.counters.initiationsSent, 2 * 3600 / 125);
  });
}

/** Both sides of a pair send a number every 50 ms, the second from `waitMs` on; what they heard in the end, in order. */
function heardOverRekeys(network: MachineNetwork, waitMs: number): { heard: number[][]; sent: number[] } {
  const [a, b] = nodesOf(network, 2) as [Node, Node];
  const untilMs = network.nowMs + 400_000;
  let sent = 0;
  network.every(50, untilMs, () => a.talk(b, sent++));
  let answered = 0;
  network.after(waitMs, () => network.every(50, untilMs, () => b.talk(a, answered++)));
  network.run(401_000);
  assertGreater(network.count(INITIATION_TYPE), 3);
  const inOrder = [a, b].map((node) => node.heard.sort((one, other) => one - other));
  return { heard: inOrder, sent: [answered, sent] };
}

for (const seed of [5, 6, 7]) {
  Deno.test(`rekeying under traffic loses and doubles nothing, however datagrams overtake each other (seed ${seed})`, () => {
    using network = new MachineNetwork(seed);
    network.weather = { lossRate: 0, doubleRate: 0, minDelayMs: 5, maxDelayMs: 300 };
    const { heard, sent } = heardOverRekeys(network, 2000);
    assertEquals(heard, sent.map((count) => Array.from({ length: count }, (_, at) => at)));
  });
}

Deno.test("rekeying under traffic loses and doubles nothing when both sides always ask at once", () => {
  using network = new MachineNetwork();
  network.weather = { lossRate: 0, doubleRate: 0, minDelayMs: 100, maxDelayMs: 120 };
  const { heard, sent } = heardOverRekeys(network, 0);
  assertEquals(heard, sent.map((count) => Array.from({ length: count }, (_, at) => at)));
  assertEquals(network.count(INITIATION_TYPE), network.count(RESPONSE_TYPE));
});

Deno.test("many machines talk for an hour while they roam, fall silent and have their clocks set", () => {
  using network = new MachineNetwork(11);
  network.records = false;
  network.weather = { ...STORM, lossRate: 0.05 };
  const nodes = nodesOf(network, 6);
  const { random } = network;
  const pick = () => nodes[randomInt(random, nodes.length)]!;
  let sent = 0;
  let port = 2000;
  const untilMs = network.nowMs + HOUR_MS;
  network.every(250, untilMs, () => {
    // The third quarter of the hour is silent.
    const quarter = Math.floor((untilMs - network.nowMs) / (HOUR_MS / 4));
    if (quarter === 1) return;
    const [from, to] = [pick(), pick()];
    if (from !== to) from.talk(to, sent++);
  });
  network.every(300_000, untilMs, () => pick().endpoint = endpointAt(`198.51.100.7:${port++}`));
  network.every(400_000, untilMs, () => pick().wallOffsetMs -= 3_000_000);
  network.run(HOUR_MS + 1000);
  let heard = 0;
  for (const node of nodes) {
    assertNoneTwiceOrInvented(node, sent);
    heard += node.heard.length;
    assertEquals(node.machine.counters.unauthentic, 0);
  }
  assertGreater(heard, sent * 0.85);
});

Deno.test("when one of two forgets everything, the other notices and both talk again", () => {
  using network = new MachineNetwork(3);
  const [a, b] = nodesOf(network, 2) as [Node, Node];
  network.every(1000, network.nowMs + 60_000, () => a.talk(b, 1));
  network.run(10_500);
  const before = b.heard.length;
  b.machine.configure({ peers: [{ publicKey: a.publicKey, remove: true }] });
  b.addPeer(a);
  network.run(25_000);
  assertGreater(b.heard.length, before);
  assertGreater(b.machine.counters.unknownIndex, 0);
});

Deno.test("datagrams delivered again, backwards, and from elsewhere come out once", () => {
  using network = new MachineNetwork(4);
  const [a, b] = nodesOf(network, 2) as [Node, Node];
  a.talk(b, 0);
  network.run(100);
  network.lets = () => false;
  for (let number = 1; number <= 200; number++) a.talk(b, number);
  const datagrams = network.sent.filter(({ type, from }) => type === TRANSPORT_TYPE && from === a.endpoint).reverse();
  const before = b.peer(a).endpoint;
  for (const { bytes } of datagrams) b.take(a.endpoint, bytes);
  for (const { bytes } of datagrams) b.take(endpointAt("203.0.113.9:9"), bytes);
  assertEquals(b.heard.sort((one, other) => one - other), Array.from({ length: 201 }, (_, at) => at));
  assertEquals(b.machine.counters.replayed, 202);
  assert(b.peer(a).endpoint === before);
});

import { assert, assertEquals, assertLessOrEqual, assertRejects } from "@std/assert";
import { settle } from "../../testing/fake_clock.ts";
import { formatEndpoint } from "../../protocol/wireguard/endpoint.ts";
import { EXIT, PunchWorld, RELAY } from "./fixtures/punch_world.ts";

const DIRECT = `direct ${EXIT}:5000`;
const BACK = `relay ${formatEndpoint(RELAY)}`;

Deno.test("it begins on the relay, becomes direct, and its device keeps that way", async () => {
  await using world = new PunchWorld();
  const running = world.run();
  await world.clock.advanceAsync(1_000);
  assertEquals(world.ways, [DIRECT]);
  assertEquals(world.device.changes.map(({ keepsEndpoint, updateOnly }) => [keepsEndpoint, updateOnly]), [[
    true,
    true,
  ]]);
  await world.clock.advanceAsync(600_000);
  assertEquals(world.ways, [DIRECT]);
  assertEquals(world.responder.directClients, 1);
  world.stop.abort();
  await running;
  assertEquals(world.ports, 1, "the exit's alone");
});

Deno.test("while direct, both remind the relay of them, and little else is sent", async () => {
  await using world = new PunchWorld();
  world.run();
  await world.clock.advanceAsync(10_000);
  let [reminders, others] = [0, 0];
  world.network.passes = (bytes, _from, to) => {
    if (bytes[0] === 0xc1 && formatEndpoint(to) === formatEndpoint(RELAY)) reminders++;
    else if (bytes[0] !== 0xc2) others++;
    return true;
  };
  await world.clock.advanceAsync(60_000);
  assertEquals(reminders, 8);
  assertLessOrEqual(others, 2 * 150);
  assert(others > 200, "an ask in less than half a second, and its answer");
});

Deno.test("a way that dies is left within 0.9 s, and taken again once it lives", async () => {
  await using world = new PunchWorld();
  world.run();
  await world.clock.advanceAsync(30_000);
  world.cut();
  await world.clock.advanceAsync(900);
  assertEquals(world.ways, [DIRECT, BACK]);
  assertEquals(formatEndpoint(world.device.endpoint), formatEndpoint(RELAY));
  await world.clock.advanceAsync(3_000);
  assertEquals(world.device.changes.at(-1)!.keepsEndpoint, false, "once it is quiet it follows again");
  world.heal();
  await world.clock.advanceAsync(60_000);
  assertEquals(world.ways.at(-1), DIRECT);
});

Deno.test("a way that answers probes and carries no data is left, and not soon tried again", async () => {
  await using world = new PunchWorld();
  world.passes = (way) => way === "relay";
  world.run();
  await world.clock.advanceAsync(3_000);
  assertEquals(world.ways, [DIRECT, BACK]);
  await world.clock.advanceAsync(250_000);
  assertEquals(world.ways.length, 2);
  world.heal();
  await world.clock.advanceAsync(60_000);
  assertEquals(world.ways.at(-1), DIRECT);
});

Deno.test("where there is no way it asks ever more seldom, and nothing is sent in between", async () => {
  await using world = new PunchWorld({ client: "symmetric", exit: "symmetric" });
  world.run();
  await world.clock.advanceAsync(3_600_000);
  assertEquals(world.ways, []);
  // At most eleven datagrams to one place a try, and tries minutes apart.
  assertLessOrEqual(world.clientHost.sent, 1_000);
  assertEquals(world.device.changes, []);
});

Deno.test("an exit that does not answer offers is asked ever more seldom", async () => {
  await using world = new PunchWorld();
  world.passes = () => false;
  world.run();
  await world.clock.advanceAsync(600_000);
  assertEquals(world.ways, []);
  assertLessOrEqual(world.clientHost.sent, 60);
});

Deno.test("a device that follows what comes is set again until the old way is empty", async () => {
  await using world = new PunchWorld({ backend: "kernel" });
  world.run();
  while (world.ways.length === 0) await world.clock.advanceAsync(5);
  for (let late = 0; late < 20; late++) {
    world.device.endpoint = RELAY;
    await world.clock.advanceAsync(10);
    assertEquals(formatEndpoint(world.device.endpoint), `${EXIT}:5000`);
  }
  await world.clock.advanceAsync(5_000);
  world.device.endpoint = RELAY;
  await world.clock.advanceAsync(600);
  assertEquals(formatEndpoint(world.device.endpoint), `${EXIT}:5000`);
});

Deno.test("a device that has ended ends it", async () => {
  await using world = new PunchWorld({ backend: "kernel" });
  const running = world.run();
  await world.clock.advanceAsync(5_000);
  world.device.status = () => Promise.reject(new Error("it is gone"));
  const rejected = assertRejects(() => running, Error, "it is gone");
  await world.clock.advanceAsync(1_000);
  await rejected;
  await settle();
  assertEquals(world.ports, 1);
});

Deno.test("aborting stops it at any time, and no timer is left of it", async () => {
  for (const afterMs of [0, 10, 60, 100, 130, 500, 2_000]) {
    await using world = new PunchWorld();
    const running = world.run();
    await world.clock.advanceAsync(afterMs);
    world.stop.abort();
    await running;
    await world.responder[Symbol.asyncDispose]();
    await world.clock.advanceAsync(2_000);
    assertEquals([world.clock.pendingTimers, world.ports], [0, 0], `after ${afterMs} ms`);
  }
});

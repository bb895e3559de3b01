/** Streams over the network of namespaces, without rights for anything: the client is a proxy, the exit dials by itself. */

import { assertEquals } from "@std/assert";
import { scenario } from "./fixtures/scenario.ts";

scenario("a stream leaves at the exit behind its NAT, over v4 and v6", { tun: false }, async (vpn) => {
  const { exits, internet } = vpn.topology;
  await vpn.startClient();
  assertEquals(await vpn.exitInUse({ isProxied: true }), 0);
  assertEquals(await vpn.seenAs({ isProxied: true, isV6: true }), exits[0]!.v6);
  assertEquals((await vpn.fetch(`http://${internet.v4}/bytes/1000000`, { isProxied: true })).length, 1_000_000);
});

scenario("an exit is killed, and streams leave at the other", { tun: false, exits: 2 }, async (vpn) => {
  await vpn.startClient();
  const first = await vpn.exitInUse({ isProxied: true });
  await vpn.kill(`exit${first + 1}`);
  assertEquals(await vpn.exitInUse({ isProxied: true }), 1 - first);
});

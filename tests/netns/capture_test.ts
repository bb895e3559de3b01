/** What the leak tests go by sees what is wrong, and nothing in what is right. */

import { assertEquals } from "@std/assert";
import { Capture, leaksIn } from "./fixtures/capture.ts";
import { scenario } from "./fixtures/scenario.ts";

scenario("a capture tells what should not have left", { startsItself: true }, async (vpn) => {
  const { client, internet } = vpn.topology;
  await using capture = await Capture.start(client.machine);
  await vpn.fetch("http://page.test/");
  await client.machine.run(["ping", "-c1", internet.v6]);
  const packets = await capture.stop();
  const lan = "192.168.41.2";
  const kinds = [
    `ipv4 tcp ${lan} to ${internet.v4}:80`,
    `ipv4 udp ${lan} to ${internet.v4}:53 beginning with`,
  ];
  const seen = (control: number[], data: string[]) =>
    leaksIn(packets, { control: control.map((port) => ({ host: internet.v4, port })), data })
      .map((leak) => leak.replace(/(with).*/, "$1").replace(/ \[?fd41.*/, ""))
      .filter((leak, index, all) => all.indexOf(leak) === index).sort();
  assertEquals(seen([], []), [...kinds, "ipv6 icmpv6"]);
  assertEquals(seen([80], []), [...kinds.slice(1), "ipv6 icmpv6"]);
  assertEquals(seen([80], [internet.v4]), seen([80], []), "a name server's question is no WireGuard");
});

/** What the kernel makes of the table, as `nft` shows it. */

import { assertEquals } from "@std/assert";
import { inNamespace } from "../../../native/fixtures/in_namespace.ts";
import { openLibc } from "../../../native/libc.ts";
import { Nft } from "../../../native/nft.ts";
import { parseIp } from "../../../protocol/ip.ts";
import { NetLab } from "../../../testing/netns.ts";
import { testWith } from "../../../testing/requirements.ts";
import { RelayFirewall } from "./relay_firewall.ts";

const ip = (text: string) => parseIp(text)!;
const EXPECTED = new URL("./fixtures/relay_table.nft", import.meta.url);

testWith({ netns: true, tools: ["nft"] }, "the table is what it says of itself, and goes as a whole", async () => {
  await using lab = await NetLab.open();
  const namespace = await lab.namespace("table");
  using libc = openLibc();
  using filter = inNamespace(namespace, () => new Nft(libc));
  const gateways = [ip("10.200.0.1"), ip("fd00:200::1")];
  const listed = async () => (await namespace.run(["nft", "list", "ruleset"])).stdout;
  {
    using firewall = new RelayFirewall({ tableName: "culvert_relay", interfaceName: "wg-relay", gateways }, filter);
    firewall.setTunnel({ interfaceName: "wg-relay-0", mark: 52_800, dns: [ip("10.201.0.1")] });
    firewall.place([ip("10.200.0.2"), ip("fd00:200::2")], 52_800);
    firewall.place([ip("10.200.0.3"), ip("fd00:200::3")], 52_800);
    firewall.setTunnel({ interfaceName: "wg-relay-1", mark: 52_801, dns: [ip("10.202.0.1"), ip("fd00:202::1")] });
    firewall.place([ip("10.200.0.3"), ip("fd00:200::3")], 52_801);
    firewall.place([ip("10.200.0.3"), ip("fd00:200::3")], 52_801);
    assertEquals(await listed(), await Deno.readTextFile(EXPECTED));
    firewall.place([ip("10.200.0.2"), ip("fd00:200::2")], undefined);
    firewall.removeTunnel(52_801);
    assertEquals((await listed()).match(/elements|wg-relay-1/g), null);
  }
  assertEquals(await listed(), "");
});

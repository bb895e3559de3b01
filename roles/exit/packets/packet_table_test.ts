import { assertEquals } from "@std/assert";
import { inNamespace } from "../../../native/fixtures/in_namespace.ts";
import { openLibc } from "../../../native/libc.ts";
import { Nft } from "../../../native/nft.ts";
import { policyOf } from "../../../protocol/egress_policy.ts";
import type { PolicyFile } from "../../../protocol/egress_policy_file.ts";
import { parseCidr, parseIp } from "../../../protocol/ip.ts";
import { NetLab } from "../../../testing/netns.ts";
import { testWith } from "../../../testing/requirements.ts";
import { AddressPool } from "./address_pool.ts";
import { packetTable, packetTableName, type PacketTableOptions } from "./packet_table.ts";

const GOLDEN = new URL("fixtures/packet_table.nft", import.meta.url);

function tableOf(file: PolicyFile = {}, more: Partial<PacketTableOptions> = {}) {
  const pools = ["10.201.0.0/16", "fd00:1::/64"].map((network) => new AddressPool(parseCidr(network)!));
  return packetTable({ interfaceName: "cvexit0", pools, policy: policyOf(file), ...more });
}

/** Without the tabs and lines that `nft` sets it in. */
function lines(text: string): string[] {
  return text.split("\n").map((line) => line.trim()).filter((line) => line !== "");
}

testWith({ netns: true, tools: ["ip", "nft"] }, "nft lists the table as it is meant", async () => {
  await using lab = await NetLab.open();
  const namespace = await lab.namespace("table");
  using libc = openLibc();
  using nft = inNamespace(namespace, () => new Nft(libc));
  nft.replaceTable(tableOf({ deny_addresses: ["1.1.1.0/24"], allow_addresses: ["10.7.0.0/16"] }, {
    clientBytesPerSecond: 1_250_000,
    shared: [parseIp("10.201.0.9")!, parseIp("fd00:1::9")!],
  }));
  const { stdout } = await namespace.run(["nft", "list", "ruleset"]);
  assertEquals(lines(stdout), lines(await Deno.readTextFile(GOLDEN)));
});

function ruleCount(table: ReturnType<typeof tableOf>, chain: string): number {
  return table.chains.find(({ name }) => name === chain)!.rules.length;
}

Deno.test("without a rate nothing is held against it", () => {
  const limited = tableOf({}, { clientBytesPerSecond: 1 });
  assertEquals(ruleCount(limited, "forward") - ruleCount(tableOf(), "forward"), 4);
});

Deno.test("a policy that closes on reload lets nothing pass for being known already", () => {
  assertEquals(ruleCount(tableOf(), "out") - ruleCount(tableOf({ close_on_reload: true }), "out"), 1);
});

Deno.test("its name is the interface's, in the letters that names of tables have", () => {
  assertEquals(packetTableName("cv-exit.0"), "culvert_exit_cvx2dexitx2e0");
});

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { inNamespace } from "../../../native/fixtures/in_namespace.ts";
import { type Libc, openLibc } from "../../../native/libc.ts";
import { Nft } from "../../../native/nft.ts";
import { formatIp, parseIp } from "../../../protocol/ip.ts";
import { rule } from "../../../protocol/nftables/rule.ts";
import { drop } from "../../../protocol/nftables/statements.ts";
import { FakeClock } from "../../../testing/fake_clock.ts";
import { LogCollector } from "../../../testing/log_collector.ts";
import { NetLab, type NetNamespace } from "../../../testing/netns.ts";
import { testWith } from "../../../testing/requirements.ts";
import { PacketFilter, type PacketFilterOptions } from "./packet_filter.ts";

const needs = { netns: true, tools: ["ip", "nft"] };
const SET = { name: "hosts", key: "ipv4_addr" } as const;
const TABLE = { name: "culvert_filter", sets: [SET], chains: [{ name: "c", rules: [rule(drop())] }] };
const [ONE, OTHER] = [parseIp("192.0.2.1")!, parseIp("192.0.2.2")!];

interface Scene {
  readonly namespace: NetNamespace;
  readonly clock: FakeClock;
  readonly log: LogCollector;
  /** Another program's view. */
  readonly nft: Nft;
  open(options: Pick<PacketFilterOptions, "endsWithProcess">): PacketFilter;
}

function testFilter(name: string, run: (scene: Scene) => Promise<void>): void {
  testWith(needs, name, async () => {
    await using lab = await NetLab.open();
    const namespace = await lab.namespace("filter");
    using libc: Libc = openLibc();
    using nft = inNamespace(namespace, () => new Nft(libc));
    const [clock, log] = [new FakeClock(), new LogCollector()];
    const open: Scene["open"] = (options) =>
      inNamespace(namespace, () => new PacketFilter({ libc, clock, log, ...options }));
    await run({ namespace, clock, log, nft, open });
  });
}

function hosts(nft: Nft): string[] {
  return nft.elements(TABLE.name, SET.name).map(({ key }) => formatIp(key)).sort();
}

testFilter(
  "a filter that ends with the process is proof against a flush, and gone when it is let go of",
  async ({ namespace, nft, open }) => {
    {
      using filter = open({ endsWithProcess: true });
      filter.set(TABLE);
      filter.changeSet(SET, { add: [ONE], remove: [] });
      await namespace.run(["nft", "flush", "ruleset"]);
      assertEquals(hosts(nft), ["192.0.2.1"]);
      filter.set(TABLE);
      assertEquals(hosts(nft), []);
    }
    assertEquals(nft.tables(), []);
  },
);

testFilter(
  "one that outlives the process is put back as it was when somebody has flushed it",
  async ({ namespace, clock, log, nft, open }) => {
    {
      using filter = open({ endsWithProcess: false });
      filter.set(TABLE);
      filter.changeSet(SET, { add: [ONE, OTHER], remove: [] });
      filter.changeSet(SET, { add: [], remove: [ONE] });
      clock.advance(2_000);
      assertEquals(log.text("error"), "");
      await namespace.run(["nft", "flush", "ruleset"]);
      assertEquals(nft.tables(), []);
      clock.advance(2_000);
      assertEquals(hosts(nft), ["192.0.2.2"]);
      assertStringIncludes(log.text("error"), "was taken away by somebody");
    }
    assert(nft.deleteTable(TABLE.name), "it stays for the journal");
    clock.advance(10_000);
    assertEquals(nft.tables(), []);
  },
);

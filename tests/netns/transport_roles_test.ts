/**
 * `culvert kcp` and `culvert vtcp` on two hosts with packets that look like TCP: a page fetched by curl, several clients'
 * rules on the way, nothing reset, and nothing left behind.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { RST, SYN } from "../../protocol/tcp_look/flags.ts";
import { Program } from "../../testing/program.ts";
import { type Needs, testWith } from "../../testing/requirements.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { eventually } from "../../testing/waiting.ts";
import { denoCommand } from "./fixtures/machine.ts";
import { RawWire, SERVER } from "./fixtures/raw_wire.ts";
import type { NetNamespace } from "../../testing/netns.ts";

const needs: Needs = { netns: true, tools: ["tcpdump", "nft", "ethtool", "curl"] };
const PORTS = "24000-24003";

interface Flow {
  readonly name: string;
  readonly server: readonly string[];
  /** Of the URL, when nobody is invited. */
  readonly url?: string;
  readonly by?: string;
  readonly client: string;
  readonly proxy: string;
}

const flows: readonly Flow[] = [
  {
    name: "SOCKS5 on 1080, KCP in raw packets",
    server: ["kcp-server", "--carrier", "raw", "--ports", PORTS],
    by: "kcp+raw",
    client: "kcp-client",
    proxy: "127.0.0.1:1080",
  },
  {
    name: "SOCKS5 on 14000, QUIC in packets of no connection",
    server: ["vtcp-server", "--ports", PORTS],
    by: "vtcp",
    client: "vtcp-client",
    proxy: "127.0.0.1:14000",
  },
  {
    name: "paqet's dialect",
    server: ["kcp-server", "--dialect", "paqet", "--carrier", "raw", "--ports", "24000", "--key", "K"],
    url: `kcp+raw://K@${SERVER.v4}:24000/?dialect=paqet`,
    client: "kcp-client",
    proxy: "127.0.0.1:1080",
  },
  {
    name: "gfk-go's dialect over KCP",
    server: [
      "vtcp-server",
      "--dialect",
      "gfk-go",
      "--ports",
      PORTS,
      "--key",
      "K",
      "--allow-hosts",
      "--settings",
      "carrier=kcp",
    ],
    url: `vtcp://K@${SERVER.v4}:${PORTS}/?dialect=gfk-go&carrier=kcp`,
    client: "vtcp-client",
    proxy: "127.0.0.1:14000",
  },
];

for (const flow of flows) {
  testWith(needs, `${flow.name}: curl has a page, no reset leaves either side, and no rule is left`, async () => {
    await using wire = await RawWire.lay({ isPlain: true });
    using folder = new TempDirectory();
    const [serverState, clientState] = [folder.path("server"), folder.path("client")];
    const url = flow.url ?? await invite(wire.server, flow.by!, serverState);
    let page = "";
    {
      await using _server = await start(wire.server, [...flow.server, "--state-dir", serverState]);
      await using _client = await start(wire.client, [flow.client, "--server", url, "--state-dir", clientState]);
      const segments = await wire.seen(wire.server, async () => {
        await eventually("the page", async () => {
          const { code, stdout } = await wire.client.run(
            ["curl", "-s", "--max-time", "5", "--socks5-hostname", flow.proxy, "http://hello.culvert/"],
            { mayFail: true },
          );
          page = stdout;
          return code === 0;
        });
      });
      assertMatch(page, /far end of the culvert/);
      assert(segments.length > 4);
      assertEquals(segments.filter(({ flags }) => (flags & (RST | SYN)) !== 0), []);
      assertEquals(segments.filter(({ isIntact }) => !isIntact).length, 0);
      for (const host of [wire.client, wire.server]) {
        assertMatch((await host.run(["nft", "list", "ruleset"])).stdout, /culvert/);
      }
    }
    for (const host of [wire.client, wire.server]) {
      assertEquals((await host.run(["nft", "list", "ruleset"])).stdout.trim(), "");
    }
  });
}

testWith(needs, "a client and a server that are killed leave no rule behind", async () => {
  await using wire = await RawWire.lay();
  using folder = new TempDirectory();
  const url = await invite(wire.server, "kcp+raw", folder.path("server"));
  await using server = await start(wire.server, [...flows[0]!.server, "--state-dir", folder.path("server")]);
  await using client = await start(wire.client, ["kcp-client", "--server", url, "--state-dir", folder.path("client")]);
  await eventually("the client's rules", async () => {
    return /culvert/.test((await wire.client.run(["nft", "list", "ruleset"])).stdout);
  });
  for (const program of [server, client]) {
    program.crash();
    await program.stop();
  }
  for (const host of [wire.client, wire.server]) {
    assertEquals((await host.run(["nft", "list", "ruleset"])).stdout.trim(), "");
  }
});

async function invite(host: NetNamespace, by: string, stateDir: string): Promise<string> {
  const flags = ["--at", `${SERVER.v4}:${PORTS}`, "--by", by, "--state-dir", stateDir];
  const { stdout } = await host.run(denoCommand("roles/main.ts", ["kcp-invite", "alice", ...flags]));
  return stdout.trim();
}

async function start(host: NetNamespace, args: readonly string[]): Promise<Program> {
  const program = new Program(host.inside(denoCommand("roles/main.ts", [...args, "--json"])), { quiet: true });
  try {
    await program.readJson();
    return program;
  } catch (error) {
    await program.stop();
    throw error;
  }
}

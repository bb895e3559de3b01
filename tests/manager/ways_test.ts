/**
 * The examples of several services behind one port: each is started as it is, but for its ports, over real SOCKS programs.
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { testWith } from "../../testing/requirements.ts";
import { eventually } from "../../testing/waiting.ts";
import { Processes, type RoleProcess } from "../chaos/fixtures/processes.ts";
import { loadServiceFiles } from "../../roles/manager/service_files.ts";
import { defaultWatchdogSettings } from "../../protocol/manager/watchdog_settings.ts";
import { culvert } from "../transports/fixtures/ends.ts";
import { fetchPages, Page, startMicrosocks } from "./fixtures/sides.ts";

const tools = ["curl", "microsocks"];

/** The example's proxy with two members, of which the one that the example names first is asked for a page of this test. */
async function startExample(processes: Processes, name: string, page: Page, ports: readonly [number, number]) {
  const file = fromFileUrl(new URL(`../../examples/manager/${name}.toml`, import.meta.url));
  const text = (await Deno.readTextFile(file))
    .replace("127.0.0.1:1080", "127.0.0.1:0")
    .replace("127.0.0.1:1081", `127.0.0.1:${ports[0]}`)
    .replace("127.0.0.1:1082", `127.0.0.1:${ports[1]}`)
    .replace("example.com:80", new URL(page.url).host);
  const config = processes.path(`${name}.toml`);
  await Deno.writeTextFile(config, text);
  return await processes.start("proxy", name, ["--config", config]);
}

/** Two SOCKS programs, a page, and the example before them. */
async function withExample(
  name: string,
  test: (parts: {
    readonly proxy: RoleProcess;
    readonly page: Page;
    readonly members: readonly Awaited<ReturnType<typeof startMicrosocks>>[];
  }) => Promise<void>,
): Promise<void> {
  await using processes = new Processes();
  await using page = new Page(1000);
  const members = await Promise.all([startMicrosocks(), startMicrosocks()]);
  await using _first = members[0].program;
  await using _second = members[1].program;
  const proxy = await startExample(processes, name, page, [members[0].at.port, members[1].at.port]);
  await test({ proxy, page, members });
}

async function isLogged(proxy: RoleProcess, what: RegExp): Promise<void> {
  await eventually(`the log tells ${what}`, async () => what.test(await proxy.log()));
}

for (const name of ["failover", "balance"] as const) {
  testWith({ tools }, `${name}.toml: a member is killed and comes back, and no page is missing`, async () => {
    await withExample(name, async ({ proxy, page, members: [first] }) => {
      const listen = proxy.addresses.listen!;
      assertEquals(await fetchPages(listen, page.url, 10), 10);
      first!.program.crash();
      await first!.program.stop();
      assertEquals(await fetchPages(listen, page.url, 20), 20);
      await isLogged(proxy, /"Path is down".*socks5/);
      await using _again = (await startMicrosocks(first!.at.port)).program;
      await isLogged(proxy, /"Path is up again".*socks5/);
      assertEquals(await fetchPages(listen, page.url, 10), 10);
    });
  });
}

testWith({ tools }, "ab.toml: one stream in ten goes by the second, and the report names both", async () => {
  await withExample("ab", async ({ proxy, page }) => {
    assertEquals(await fetchPages(proxy.addresses.listen!, page.url, 40), 40);
    const asked = ["--listen", proxy.addresses.listen!, "--state-dir", proxy.stateDir];
    const report = JSON.parse(await culvert("proxy", "report", ...asked, "--json"));
    assertEquals(report.sides.map(({ drawn }: { readonly drawn: number }) => drawn), [36, 4]);
    const text = await culvert("proxy", "report", ...asked);
    assertStringIncludes(text, "B against A, with 99 % certainty:");
    assert(/success +too few streams to say/.test(text), text);
  });
});

Deno.test("the examples' service files can be read, and name the ports that the configurations know", async () => {
  const folder = fromFileUrl(new URL("../../examples/manager/services", import.meta.url));
  const { services, problems } = await loadServiceFiles(folder, { watchdog: defaultWatchdogSettings });
  assertEquals(problems, []);
  assertEquals(services.map(({ name, listen }) => [name, listen[0]!.at.port]), [
    ["kcp", 1082],
    ["paqet", 1081],
    ["ways", 1080],
  ]);
});

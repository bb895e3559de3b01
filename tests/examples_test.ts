/**
 * Every example runs and does what it says.
 */

import { assert, assertStringIncludes } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { Program } from "../testing/program.ts";
import { untilReachable } from "../testing/socks_client.ts";
import { Processes } from "./chaos/fixtures/processes.ts";
import { CheckedTarget } from "./fixtures/checked_target.ts";
import { Network } from "./fixtures/control_network.ts";
import { FragmentNetwork } from "./fixtures/relay_network.ts";
import { Ends, freeUdpPort } from "./transports/fixtures/ends.ts";

function exampleFile(name: string): string {
  return fromFileUrl(new URL(`../examples/${name}`, import.meta.url));
}

/** What each prints; a file that is not named here fails the test below. */
const checks: Record<string, () => Promise<void>> = {
  "client_of_a_network.ts": async () => {
    await using network = new Network();
    const supernode = await network.startSupernode("north");
    const exit = await network.startExit(supernode, "north");
    const { success, stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", exampleFile("client_of_a_network.ts"), supernode.addresses["supernode"]!],
    }).output();
    assert(success);
    assertStringIncludes(new TextDecoder().decode(stdout), exit.peerId);
  },
  "dial_over_kcp.ts": async () => {
    await using processes = new Processes();
    await using ends = new Ends(processes);
    const port = freeUdpPort();
    const url = await ends.invite("alice", port);
    await ends.server(port);
    const { success, stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", exampleFile("dial_over_kcp.ts"), url],
    }).output();
    assert(success);
    assertStringIncludes(new TextDecoder().decode(stdout), "Hello from the far end of the culvert.");
  },
  "dial_through_a_tunnel.ts": async () => {
    const { success, stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", exampleFile("dial_through_a_tunnel.ts")],
    }).output();
    assert(success);
    assertStringIncludes(new TextDecoder().decode(stdout), "Hello from the far end of the culvert.");
  },
  "fetch_over_fragments.ts": async () => {
    await using network = await FragmentNetwork.start();
    await using target = new CheckedTarget();
    await untilReachable(network.at, target.address);
    const { success, stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", exampleFile("fetch_over_fragments.ts"), network.url],
    }).output();
    assert(success);
    assertStringIncludes(new TextDecoder().decode(stdout), "Hello from the far end of the culvert.");
  },
  "proxy.ts": async () => {
    await using program = new Program([Deno.execPath(), "run", "-A", exampleFile("proxy.ts")]);
    const line = await program.readLine();
    const [, address] = /socks5h:\/\/(\S+) /.exec(line)!;
    const client = Deno.createHttpClient({ proxy: { url: `http://${address}` } });
    const response = await fetch("http://hello.culvert/", { client });
    assertStringIncludes(await response.text(), "Hello from the far end of the culvert.");
    client.close();
  },
};

Deno.test("the examples work", async (t) => {
  const names = [...Deno.readDirSync(exampleFile(""))].map(({ name }) => name).filter((name) => name.endsWith(".ts"));
  for (const name of names.toSorted()) {
    await t.step(name, async () => {
      const check = checks[name];
      assert(check, "no check for this example");
      await check();
    });
  }
});

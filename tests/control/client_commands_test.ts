/** `culvert client status`, `rotate` and `down`, at a proxy that runs. Tunnels: tests/netns. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { role as client } from "../../roles/client.ts";
import { FakeHost } from "../../roles/fixtures/fake_host.ts";
import { runRole } from "../../roles/role.ts";
import { hello, Network } from "../fixtures/control_network.ts";

async function ask(stateDir: string, ...words: string[]) {
  const host = new FakeHost();
  const code = await runRole(client, [...words, "--state-dir", stateDir], { host });
  return { code, out: host.out, said: host.logged + host.complaints };
}

Deno.test("a client that runs tells how it is, goes to another exit and ends when it is asked to", async () => {
  await using network = new Network();
  const here = await network.startSupernode("north");
  const first = await network.startExit(here, "north");
  const { proxy, stateDir, role } = await network.startClient(here);
  await network.until(() => network.hasSaid("Streams leave through an exit"));

  const status = JSON.parse((await ask(stateDir, "status", "--json")).out);
  assertEquals([status.mode, status.exit, status.region, status.listen], ["proxy", first.peerId, "north", proxy]);
  assertStringIncludes((await ask(stateDir, "status")).out, `exit       ${first.peerId}\n`);

  const alone = await ask(stateDir, "rotate");
  assertEquals(alone.code, 1);
  assertEquals(JSON.parse((await ask(stateDir, "status", "--json")).out).exit, first.peerId);

  const second = await network.startExit(here, "north");
  const rotated = await ask(stateDir, "rotate", "--json");
  assertEquals(rotated.code, 0, rotated.said);
  assertEquals(JSON.parse(rotated.out).exit, second.peerId);
  assertStringIncludes(await hello(proxy), second.peerId);

  const down = await ask(stateDir, "down");
  assertEquals([down.code, down.out], [0, "The client is down\n"]);
  await role.done;
});

for (const action of ["status", "rotate", "down"]) {
  Deno.test(`client ${action} says so when no client runs`, async () => {
    const directory = await Deno.makeTempDir();
    const { code, said } = await ask(directory, action, "--interface", "cvnone");
    await Deno.remove(directory, { recursive: true });
    assertEquals(code, 1);
    assertStringIncludes(said, "there is none");
  });
}

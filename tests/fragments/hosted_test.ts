/**
 * Upstreams and downstreams as they are hosted elsewhere: with nothing but what the environment says.
 */

import { assertEquals, assertMatch } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { freePort } from "../../testing/program.ts";
import { untilReachable } from "../../testing/socks_client.ts";
import { CheckedTarget, download, upload } from "../fixtures/checked_target.ts";
import { DenoFolder, HOSTED_PERMISSIONS, HostedApp } from "../fixtures/hosted_app.ts";
import { RelayNetwork } from "../fixtures/relay_network.ts";

const fileOf = (path: string) => fromFileUrl(new URL(path, import.meta.url));
const MAIN = fileOf("../../roles/main.ts");
const TOKEN = "sesame-of-this-test";

/** An identity as `culvert keys` makes one. */
async function newIdentity(stateDir: string): Promise<string> {
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", MAIN, "keys", "--state-dir", stateDir],
    stdout: "null",
  }).output();
  assertEquals(success, true);
  return await Deno.readTextFile(`${stateDir}/identity.json`);
}

Deno.test("hosted upstreams and downstreams carry what is sent, by WebSocket and by requests", async (test) => {
  using folder = new DenoFolder();
  await using target = new CheckedTarget();
  await using network = new RelayNetwork();
  const base = await network.base();
  await network.startCentral();
  await using programs = new AsyncDisposableStack();
  const kinds = ["upstream", "upstream", "downstream", "downstream"] as const;
  const served = await Promise.all(kinds.map(async (kind, at) => {
    const CULVERT_IDENTITY = await newIdentity(network.path(`served-${at}`));
    const CULVERT_LISTEN = `127.0.0.1:${freePort()}`;
    const where = { CULVERT_LISTEN, CULVERT_ADVERTISE: `http://${CULVERT_LISTEN}`, CULVERT_REGION: "test" };
    const CULVERT_BASE = `http://${base.addresses["listen"]}`;
    const env = { ...where, CULVERT_BASE, CULVERT_IDENTITY, CULVERT_TOKEN: TOKEN };
    return programs.use(await HostedApp.start({ app: kind, folder, env }));
  }));

  await test.step("who does not know the token is not served", async () => {
    for (const [at, path] of [[0, "v1/fragments"], [2, "v1/mailbox"]] as const) {
      const response = await fetch(`${served[at]!.url}/${path}`, { method: "POST", body: new Uint8Array(36) });
      assertEquals([response.status, (await response.json()).code], [401, "unauthorized"]);
    }
  });

  for (const query of ["", "&post=1"]) {
    await test.step(query === "" ? "by WebSocket" : "by requests", async () => {
      const path = `fragments+http://${TOKEN}@${base.addresses["listen"]}/?up=2&down=2&data=1&total=2${query}`;
      const { at } = await network.startProxy(path);
      await untilReachable(at, target.address);
      await download(at, target.address, { bytes: 1_000_000 });
      await upload(at, target.address, { bytes: 1_000_000 });
    });
  }

  await test.step("an environment that lacks something is named, and nothing is served", async () => {
    const output = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-prompt", ...HOSTED_PERMISSIONS, fileOf("../../edge/main_upstream.ts")],
      env: { CULVERT_ADVERTISE: "http://up.example" },
      stdout: "null",
      stderr: "piped",
    }).output();
    assertEquals(output.success, false);
    assertMatch(new TextDecoder().decode(output.stderr), /CULVERT_BASE, CULVERT_IDENTITY must be set/);
  });
});

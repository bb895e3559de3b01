/**
 * Base as operators run it: several processes on one store, and as an app without any of our own flags.
 */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { Asker } from "../edge/fixtures/directory.ts";
import { DirectoryClient } from "../net/directory_client.ts";
import { clockOf } from "../protocol/clock.ts";
import { portablePrimitives as primitives } from "../protocol/primitives.ts";
import { Program } from "../testing/program.ts";
import { TempDirectory } from "../testing/temp_directory.ts";
import { DenoFolder, HostedApp } from "./fixtures/hosted_app.ts";

const MAIN = fromFileUrl(new URL("../roles/main.ts", import.meta.url));

function clientOf(url: string, asker: Asker): DirectoryClient {
  const { identity: signer, random } = asker;
  return new DirectoryClient({ bases: [new URL(url)], signer, clock: clockOf(globalThis), random, primitives });
}

Deno.test("two processes on one file are one base", async () => {
  using folder = new TempDirectory();
  const kv = folder.path("base.kv");
  const command: [string, ...string[]] = [Deno.execPath(), "run", "-A", MAIN, "base", "--json"];
  const flags = ["--listen", "127.0.0.1:0", "--kv", kv, "--state-dir", folder.path("state"), "--log-level", "error"];
  await using one = new Program([...command, ...flags]);
  await using two = new Program([...command, ...flags]);
  const urls = [];
  for (const program of [one, two]) {
    const { addresses } = await program.readJson() as { addresses: { listen: string } };
    urls.push(`http://${addresses.listen}`);
  }
  const askers = [new Asker(1), new Asker(2)];
  for (const [at, asker] of askers.entries()) {
    using client = clientOf(urls[at]!, asker);
    await client.register(asker.supernode({ region: `r${at}` }));
  }
  for (const [at, asker] of askers.entries()) {
    using client = clientOf(urls[1 - at]!, asker);
    assertEquals((await client.candidates()).map(({ region }) => region).sort(), ["r0", "r1"]);
  }
  assertEquals([await one.stop(), await two.stop()], [0, 0]);
});

Deno.test("base runs as it is under deno run, and ends when it is asked to", async () => {
  using folder = new DenoFolder();
  await using base = await HostedApp.start({ app: "directory", folder });
  const asker = new Asker(1);
  using client = clientOf(base.url, asker);
  await client.register(asker.supernode());
  assertEquals((await client.candidates()).length, 1);
  const page = await fetch(base.url);
  assertStringIncludes(await page.text(), "Culvert directory");
  const style = await fetch(`${base.url}/style.css`);
  assertStringIncludes(style.headers.get("content-type")!, "text/css");
  await style.body?.cancel();
  assertEquals(await base.program.stop(), 0);
});

/**
 * Base as operators run it: several processes on one store, and `deno serve` without any of our own flags.
 */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { Asker } from "../edge/fixtures/directory.ts";
import { DirectoryClient } from "../net/directory_client.ts";
import { clockOf } from "../protocol/clock.ts";
import { portablePrimitives as primitives } from "../protocol/primitives.ts";
import { Program } from "../testing/program.ts";
import { TempDirectory } from "../testing/temp_directory.ts";

const fileOf = (path: string) => fromFileUrl(new URL(path, import.meta.url));
const MAIN = fileOf("../roles/main.ts");
const EDGE = fileOf("../edge/main_directory.ts");

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

Deno.test("deno serve runs base as it is", async () => {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["serve", "-A", "--host", "127.0.0.1", "--port", "0", EDGE],
    stdout: "null",
    stderr: "piped",
  }).spawn();
  try {
    const url = await listeningUrl(child.stderr);
    const asker = new Asker(1);
    using client = clientOf(url, asker);
    await client.register(asker.supernode());
    assertEquals((await client.candidates()).length, 1);
    const page = await fetch(url);
    assertStringIncludes(await page.text(), "Culvert directory");
  } finally {
    child.kill("SIGTERM");
    await child.status;
  }
});

/** The address in the first line that names one; the rest is thrown away. */
async function listeningUrl(output: ReadableStream<Uint8Array>): Promise<string> {
  let text = "";
  for await (const part of output.pipeThrough(new TextDecoderStream())) {
    text += part;
    const found = /http:\/\/[\d.]+:\d+/.exec(text);
    if (found) return found[0];
  }
  throw new Error(`It ended without an address: ${text}`);
}

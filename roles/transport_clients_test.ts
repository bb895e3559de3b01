import { assert, assertEquals, assertRejects } from "@std/assert";
import { clockOf } from "../protocol/clock.ts";
import { CulvertError } from "../protocol/errors.ts";
import { randomOf } from "../protocol/random.ts";
import { TempDirectory } from "../testing/temp_directory.ts";
import { TransportClients } from "./transport_clients.ts";

const tools = { clock: clockOf(globalThis), random: randomOf(crypto), signal: new AbortController().signal };

function open(folder: TempDirectory): Promise<TransportClients> {
  return TransportClients.open({ ...tools, stateDir: folder.path("state") });
}

Deno.test("the server's key is made once, however many ask", async () => {
  using folder = new TempDirectory();
  const keys = await Promise.all(Array.from({ length: 4 }, async () => await (await open(folder)).serverKey()));
  for (const key of keys) assertEquals(key, keys[0]);
});

Deno.test("many who are invited at once are all there, each with a secret of its own", async () => {
  using folder = new TempDirectory();
  const names = Array.from({ length: 8 }, (_, at) => `client-${at}`);
  await Promise.all(names.map(async (name) => await (await open(folder)).invite(name)));
  const list = await (await open(folder)).list();
  assertEquals(list.map(({ name }) => name).toSorted(), names);
  assertEquals(new Set(list.map(({ secret }) => secret.join())).size, 8);
});

Deno.test("who is invited twice is the same; who is revoked and invited again is not", async () => {
  using folder = new TempDirectory();
  const clients = await open(folder);
  const first = await clients.invite("alice");
  assertEquals((await clients.invite("alice")).secret, first.secret);
  assertEquals([await clients.revoke("alice"), await clients.revoke("alice")], [true, false]);
  assertEquals(await clients.list(), []);
  assert((await clients.invite("alice")).secret.some((byte, at) => byte !== first.secret[at]));
});

Deno.test("names that are none are refused, and a file that is damaged is named, not replaced", async () => {
  using folder = new TempDirectory();
  const clients = await open(folder);
  for (const name of ["", "a b", "-a", "a".repeat(65), "../a"]) {
    await assertRejects(() => clients.invite(name), CulvertError, "a name must be");
  }
  await clients.invite("alice");
  const file = folder.path("state/transport-clients.json");
  await Deno.writeTextFile(file, "{");
  await assertRejects(() => clients.list(), Error, "transport-clients.json");
  await assertRejects(() => clients.invite("bob"), Error, "transport-clients.json");
  assertEquals(await Deno.readTextFile(file), "{");
});

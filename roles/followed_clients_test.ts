import { assertEquals } from "@std/assert";
import { encodeBase64Url } from "../protocol/encoding.ts";
import type { NamedSecret } from "../protocol/sealed_packets/credentials.ts";
import { FakeClock } from "../testing/fake_clock.ts";
import { LogCollector } from "../testing/log_collector.ts";
import { SeededRandom } from "../testing/seeded_random.ts";
import { FollowedClients } from "./followed_clients.ts";
import type { RoleContext } from "./role.ts";
import type { TransportClients } from "./transport_clients.ts";

const random = new SeededRandom(1);
const client = (name: string): NamedSecret => ({ name, secret: random.fill(new Uint8Array(32)) });

/** A store whose clients are `listed`, and a door that tells what it was asked and does not bear one name. */
async function open(listed: NamedSecret[], given: readonly string[] = []) {
  const clock = new FakeClock();
  const log = new LogCollector();
  const asked: string[] = [];
  const store = { list: () => Promise.resolve([...listed]) } as unknown as TransportClients;
  const context = { clock, log } as unknown as RoleContext;
  const followed = await FollowedClients.open(store, { given, action: "start" }, context);
  const following = followed.follow({
    admit({ name }) {
      asked.push(`admit ${name}`);
      if (name === "twin") throw new Error("its secret must be its own");
    },
    revoke: (name) => void asked.push(`revoke ${name}`),
  });
  const look = async () => {
    await clock.advanceAsync(1000);
    return asked.splice(0);
  };
  return { look, following, followed };
}

Deno.test("who is invited or revoked is told to the server, once", async () => {
  const [one, two] = [client("one"), client("two")];
  const listed = [one];
  const { look, following } = await open(listed);
  using _following = following;
  assertEquals(await look(), []);
  listed.push(two);
  assertEquals(await look(), ["admit two"]);
  listed.splice(0, 2, client("one"));
  assertEquals(await look(), ["revoke one", "revoke two", "admit one"]);
  assertEquals(await look(), []);
});

Deno.test("one that the server does not take holds up nobody else, and is not asked for again and again", async () => {
  const listed = [client("one")];
  const { look, following } = await open(listed);
  using _following = following;
  listed.splice(0, 1, client("twin"), client("three"));
  assertEquals(await look(), ["revoke one", "admit twin", "admit three"]);
  assertEquals(await look(), []);
  listed.push(client("four"));
  assertEquals(await look(), ["admit four"]);
});

Deno.test("those of the command line come before those invited by the same name", async () => {
  const secret = encodeBase64Url(random.fill(new Uint8Array(32)));
  const { followed, following } = await open([client("one"), client("two")], [`one=${secret}`]);
  using _following = following;
  assertEquals(followed.list.map(({ name }) => name), ["one", "two"]);
  assertEquals(encodeBase64Url(followed.list[0]!.secret), secret);
});

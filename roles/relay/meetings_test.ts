import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { greetingOf, newIdentity, partsOf, startGuest, startHost } from "../../net/peers/fixtures/peer_world.ts";
import { TrackerClient } from "../../net/tracker_client.ts";
import type { MeetingPlace } from "../../protocol/peers/card.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { eventually, within } from "../../testing/waiting.ts";
import { role as base } from "../base.ts";
import { role as relay } from "../relay.ts";
import { startRole } from "../role.ts";
import { role as tracker } from "../tracker.ts";

const LISTEN = { listen: "127.0.0.1:0" };

/** The relays that a tracker tells of. */
async function relaysAt(url: string): Promise<MeetingPlace[]> {
  const { identity: signer, clock, random, primitives } = partsOf(newIdentity());
  await using client = new TrackerClient({ trackers: [new URL(url)], signer, clock, random, primitives });
  const { peers } = await client.list({ capability: "relay" });
  return peers.map(({ card }) => ({ relayId: card.peerId, url: card.url! }));
}

for (const withBase of [false, true]) {
  const name = withBase ? "beside circuits" : "where there is nothing else";
  Deno.test(`peers meet at a relay that a tracker tells of, ${name}`, async () => {
    using directory = new TempDirectory();
    await using tracking = startRole(tracker, tracker.config.parse({ ...LISTEN, kv: ":memory:" }));
    const trackerUrl = `http://${(await tracking.ready).addresses.listen}/`;
    await using basing = withBase
      ? startRole(base, base.config.parse({ ...LISTEN, kv: ":memory:", adminApi: false }))
      : undefined;
    const bases = basing ? [`http://${(await basing.ready).addresses.listen}`] : [];
    const settings = { ...LISTEN, base: bases, tracker: [trackerUrl], region: "eu" };
    await using relaying = startRole(relay, relay.config.parse(settings), { stateDir: directory.path("relay") });
    const { addresses, note } = await within("the relay", relaying.ready);
    await eventually("it is listed", () => relaying.readiness().ready);
    const [place] = await relaysAt(trackerUrl);
    assertEquals(place?.url, `http://${addresses.listen}`);
    assertStringIncludes(note!, place!.relayId);
    await using host = startHost({ listens: false });
    const kept = host.meet([place!]);
    await eventually("the relay knows the host", () => kept.every(({ isUp }) => isUp));
    await using guest = startGuest();
    const connection = await guest.network.connect(host.card({ relays: [place!] }));
    assertEquals([connection.way, await greetingOf(connection)], ["relayed", "hello"]);
    connection.close();
    await guest.network[Symbol.asyncDispose]();
    await relaying.stop();
    assertEquals(await relaysAt(trackerUrl), []);
  });
}

Deno.test("a relay has to be told of a base or of a tracker", () => {
  const { error } = relay.config.safeParse(LISTEN);
  assertMatch(String(error), /--tracker/);
});

import { assert, assertEquals } from "@std/assert";
import type { KeptLink } from "../../net/peers/meeting_links.ts";
import { silentLog } from "../../protocol/log.ts";
import type { MeetingPlace } from "../../protocol/peers/card.ts";
import type { ListedPeer } from "../../protocol/tracker/messages.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { ChosenRelays } from "./chosen_relays.ts";

const { signal } = new AbortController();

const PAGE = 5;

/** Relays of a tracker by their names, and the links that are kept to them. */
class World {
  readonly clock = new FakeClock();
  listed = ["r1", "r2", "r3"];
  readonly down = new Set<string>();
  readonly kept = new Set<string>();
  changes = 0;

  choose(given: readonly MeetingPlace[] = [], hasTrackers = true, seed = 1): ChosenRelays {
    return new ChosenRelays({
      ...{ given, clock: this.clock, random: new SeededRandom(seed), log: silentLog },
      trackers: hasTrackers ? { list: ({ after } = {}) => this.#list(after) } : undefined,
      keep: (place) => this.#keep(place),
      onChange: () => void this.changes++,
    });
  }

  #list(after = "") {
    if (this.listed.length === 0) return Promise.reject(new Error("no tracker answers"));
    const rest = this.listed.filter((name) => name > after);
    const page = rest.slice(0, PAGE);
    const peers = page.map((name) => ({ card: { peerId: name, url: `https://${name}.example/` } }));
    return Promise.resolve({
      peers: peers as unknown as ListedPeer[],
      ...rest.length > PAGE && { next: page.at(-1)! },
    });
  }

  #keep(place: MeetingPlace): KeptLink {
    const { kept, down } = this;
    kept.add(place.relayId);
    return {
      place,
      get isUp() {
        return !down.has(place.relayId);
      },
      [Symbol.dispose]: () => void kept.delete(place.relayId),
    };
  }
}

function names(relays: ChosenRelays): string[] {
  return relays.places.map(({ relayId }) => relayId);
}

Deno.test("two relays of those the trackers know are kept, and let go of at the end", async () => {
  const world = new World();
  {
    using relays = world.choose();
    await relays.begin(signal);
    assertEquals([new Set(names(relays)).size, world.kept.size, world.changes], [2, 2, 1]);
    await world.clock.advanceAsync(60_000);
    assertEquals([names(relays).length, world.changes], [2, 1], "what works is kept");
  }
  assertEquals(world.kept.size, 0);
});

Deno.test("of many relays others are chosen than those that are told first", async () => {
  const world = new World();
  world.listed = Array.from("abcdefghijklmnopqrstuvwxyz");
  const chosen = new Set<string>();
  for (let seed = 0; seed < 20; seed++) {
    using relays = world.choose([], true, seed);
    await relays.begin(signal);
    for (const name of names(relays)) chosen.add(name);
  }
  assert(chosen.size > 2 * PAGE, [...chosen].join());
});

Deno.test("one that is down for long is replaced, if there is another", async () => {
  const world = new World();
  using relays = world.choose();
  await relays.begin(signal);
  const [lost, other] = names(relays);
  world.down.add(lost!);
  await world.clock.advanceAsync(20_000);
  assert(names(relays).includes(lost!), "it may be back soon");
  await world.clock.advanceAsync(30_000);
  const now = names(relays);
  assert(!now.includes(lost!) && now.includes(other!) && now.length === 2, `${now}`);
  assertEquals(world.kept.has(lost!), false);
  world.listed = [lost!, ...now];
  world.down.add(now[0]!).add(now[1]!);
  world.down.delete(lost!);
  await world.clock.advanceAsync(60_000);
  assertEquals([names(relays).length, names(relays).includes(lost!)], [2, true], "better one that is down than none");
});

Deno.test("those that were given are kept, and no tracker is asked", async () => {
  const world = new World();
  using relays = world.choose([{ relayId: "mine", url: "https://mine.example/" }]);
  await relays.begin(signal);
  await world.clock.advanceAsync(60_000);
  assertEquals(names(relays), ["mine"]);
  using none = world.choose([], false);
  await none.begin(signal);
  assertEquals(names(none), []);
});

Deno.test("while no tracker answers there are none, and once one does there are", async () => {
  const world = new World();
  const { listed } = world;
  world.listed = [];
  using relays = world.choose();
  await relays.begin(signal);
  assertEquals(names(relays), []);
  world.listed = listed;
  await world.clock.advanceAsync(10_000);
  assertEquals(names(relays).length, 2);
});

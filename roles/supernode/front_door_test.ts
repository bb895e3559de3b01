import { assertEquals } from "@std/assert";
import { peerId } from "../../kv/fixtures/records.ts";
import { dialWebsocket } from "../../net/websocket_dial.ts";
import { RELAY_PATH, supernodeEndpoint } from "../../protocol/control/endpoints.ts";
import { clockOf } from "../../protocol/clock.ts";
import { messageOf } from "../../protocol/errors.ts";
import { silentLog } from "../../protocol/log.ts";
import { noMetrics } from "../../protocol/metrics.ts";
import { randomOf } from "../../protocol/random.ts";
import type { Stream } from "../../protocol/stream.ts";
import { FrontDoor } from "./front_door.ts";
import { RelayTokens } from "./relay_tokens.ts";

const random = randomOf(crypto);
const clock = clockOf(globalThis);

/** A door at which holders of tokens knock. */
class Rig implements AsyncDisposable {
  readonly tokens = new RelayTokens(clock, random);
  readonly blocked = new Set<string>();
  readonly taken: string[] = [];
  readonly #streams: Stream[] = [];
  readonly #door = new FrontDoor({
    clock,
    log: silentLog,
    metrics: noMetrics,
    tls: undefined,
    limits: {},
    fetch: () => new Response("ok"),
    streams: { makeRoom: () => true, take() {} },
    links: {
      isFull: false,
      take: (holder, stream) => {
        this.taken.push(holder.id);
        this.#streams.push(stream);
      },
    },
    tokens: this.tokens,
    isBlocked: ({ id }) => this.blocked.has(id),
  });
  readonly #port = this.#door.open({ hostname: "127.0.0.1", port: 0 }).port;

  /** Knocks with that token; gives "in" or the status. */
  async knock(token: string): Promise<string> {
    const address = supernodeEndpoint(`http://127.0.0.1:${this.#port}/`, RELAY_PATH);
    const headers = { Authorization: `Bearer ${token}` };
    try {
      const { stream } = await dialWebsocket(address, { headers, random, signal: new AbortController().signal });
      stream.close();
      return "in";
    } catch (error) {
      return /\b401\b/.exec(messageOf(error))?.[0] ?? messageOf(error);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#door.close();
    await this.#door.closed();
    for (const stream of this.#streams) stream.close();
  }
}

Deno.test("a data link is for whoever holds a token, and not for who was turned away since it was given", async () => {
  await using rig = new Rig();
  const [good, revoked] = [1, 2].map((number) => rig.tokens.issue({ kind: "peer", id: peerId(number) }));
  rig.blocked.add(peerId(2));
  assertEquals([await rig.knock(good!), await rig.knock(revoked!), await rig.knock(good!)], ["in", "401", "401"]);
  assertEquals(rig.taken, [peerId(1)]);
});

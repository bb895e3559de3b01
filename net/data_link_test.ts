import { assertEquals, assertRejects } from "@std/assert";
import { clockOf } from "../protocol/clock.ts";
import { RELAY_PATH } from "../protocol/control/endpoints.ts";
import { DialError } from "../protocol/errors.ts";
import { silentLog } from "../protocol/log.ts";
import { noMetrics } from "../protocol/metrics.ts";
import type { MuxOptions } from "../protocol/mux.ts";
import { randomOf } from "../protocol/random.ts";
import { writeAll } from "../protocol/stream.ts";
import { BufferPool } from "./buffer_pool.ts";
import { DataLink } from "./data_link.ts";
import { MuxConnection } from "./mux.ts";
import { WebPort } from "./web_port.ts";
import { WebsocketLink } from "./websocket.ts";

const clock = clockOf(globalThis);
const random = randomOf(crypto);
const pool = new BufferPool();
const common = { clock, random, pool, log: silentLog, metrics: noMetrics };

/** What takes data links, each with that many streams at most, and does nothing with them. */
class Supernode implements AsyncDisposable {
  readonly #links = new Set<MuxConnection>();
  readonly #port: WebPort;

  constructor(mux: Pick<MuxOptions, "maxStreams"> = {}) {
    this.#port = new WebPort({
      listen: { hostname: "127.0.0.1", port: 0 },
      clock,
      log: silentLog,
      fetch: () => new Response(null, { status: 404 }),
      onWebsocket: ({ path }) => {
        if (path !== RELAY_PATH) return { status: 404 };
        return {
          take: (stream, first) => {
            const link = new MuxConnection(new WebsocketLink(stream, pool, { first }), clock, {
              ...mux,
              role: "server",
              extensions: true,
            });
            link.onStream = () => {};
            this.#links.add(link);
            link.start();
          },
        };
      },
    });
  }

  link(mux: Pick<MuxOptions, "maxStreams"> = {}): DataLink & AsyncDisposable {
    const supernode = { url: `http://127.0.0.1:${this.#port.address.port}/`, supernodeId: "a".repeat(26) };
    const token = () => Promise.resolve("token");
    const link = new DataLink({ ...common, supernode, token, traffic: { rxBytes: 0, txBytes: 0 }, mux });
    return Object.assign(link, {
      async [Symbol.asyncDispose]() {
        link.close();
        await link.closed;
      },
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#port.close();
    for (const link of this.#links) {
      link.close();
      await link.ended;
    }
    await this.#port.closed();
  }
}

const forever = new AbortController().signal;

async function failureOf(deed: Promise<unknown>): Promise<string> {
  return (await assertRejects(() => deed, DialError)).code;
}

Deno.test("a data link that has all the streams it may have is busy: nobody further on is to blame", async () => {
  await using supernode = new Supernode();
  await using link = supernode.link({ maxStreams: 1 });
  await link.open(forever);
  assertEquals(await failureOf(link.open(forever)), "busy");
});

Deno.test("so it is when the supernode takes no more streams on it", async () => {
  await using supernode = new Supernode({ maxStreams: 1 });
  await using link = supernode.link();
  await link.open(forever).then((stream) => writeAll(stream, new Uint8Array(1)));
  const refused = await link.open(forever);
  assertEquals(await failureOf(refused.read(new Uint8Array(1))), "busy");
});

Deno.test("a data link that is not there is a way that is down", async () => {
  await using supernode = new Supernode();
  await using link = supernode.link();
  link.close();
  assertEquals(await failureOf(link.open(forever)), "path_down");
});

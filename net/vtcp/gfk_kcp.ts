/** GFK over KCP, the near end: one mux, over a carrier that is opened anew, from other ports, whenever it is lost. */

import { orAborted } from "../../protocol/abort.ts";
import { DialError, messageOf } from "../../protocol/errors.ts";
import { gfkKey } from "../../protocol/packet_layer/packet_keys.ts";
import type { PacketCarrier } from "../../protocol/packet_carrier.ts";
import { portsOf, portSpan } from "../../protocol/port_span.ts";
import { randomInt } from "../../protocol/random.ts";
import type { Stream } from "../../protocol/stream.ts";
import { connectKcp } from "../kcp/kcp_client.ts";
import { openPacketSeal } from "../kcp/packet_seal.ts";
import { LinkKeeper } from "../link_keeper.ts";
import type { MuxConnection } from "../mux.ts";
import { openCarrier } from "../packets/open_carrier.ts";
import type { GfkDialect } from "./gfk_dialect.ts";
import { gfkKcp, gfkMux, HELLO_TIMEOUT_MS } from "./gfk_kcp_settings.ts";
import type { GfkOptions } from "./gfk_path.ts";
import type { StreamSource } from "./stream_source.ts";

/** Carriers that may yet be ending: what is older has ended. */
const MOST_ENDING = 4;

export async function openGfkKcp(
  options: Omit<GfkOptions, "dialect"> & { readonly dialect: GfkDialect; readonly farEnd: string },
): Promise<StreamSource> {
  const { dialect, carrier, secret, farEnd, clock, random, log, metrics, mtuBytes } = options;
  const { peer } = carrier;
  const seal = await openPacketSeal({ crypt: "aes", key: await gfkKey(secret!), random });
  const verified = new WeakMap<MuxConnection, Promise<void>>();
  const carriers: Promise<PacketCarrier>[] = [];
  function open(): Promise<PacketCarrier> {
    const opening = openCarrier({ ...carrier, clock, random, log, metrics });
    carriers.push(opening);
    if (carriers.length > MOST_ENDING) carriers.shift();
    return opening;
  }
  const keeper = new LinkKeeper({
    connect: (signal) => {
      const ports = portsOf(portSpan(peer.ports));
      return connectKcp({
        kcp: gfkKcp(seal, mtuBytes),
        clock,
        random,
        makeSeal: () => seal,
        openCarrier: open,
        host: peer.host,
        port: ports[randomInt(random, ports.length)]!,
      }, signal);
    },
    farEnd,
    clock,
    random,
    log,
    metrics,
    mux: gfkMux(mtuBytes),
  });
  /** Once for each link: nothing else tells that somebody is there. */
  function verify(connection: MuxConnection): Promise<void> {
    let known = verified.get(connection);
    if (!known) {
      known = hello(connection, dialect);
      verified.set(connection, known);
      known.catch((error) => {
        log.warn("The server does not answer", { server: farEnd, error: messageOf(error) });
        connection.close();
      });
    }
    return known;
  }
  async function hello(connection: MuxConnection, dialect: GfkDialect): Promise<void> {
    using stream = connection.open();
    using limit = clock.after(HELLO_TIMEOUT_MS, () => stream.abort());
    await dialect.hello!(stream).finally(() => limit.cancel());
  }
  return {
    async open(signal): Promise<Stream> {
      try {
        const connection = await orAborted(keeper.attempt(), signal);
        await orAborted(verify(connection), signal);
        return connection.open();
      } catch (error) {
        signal?.throwIfAborted();
        if (error instanceof DialError) throw error;
        throw new DialError("path_down", `The server ${farEnd} does not answer: ${messageOf(error)}`, { cause: error });
      }
    },
    close: () => keeper.close(),
    async closed() {
      await keeper.done;
      // The keeper is done when its links are closed, whose carriers take a moment more.
      await Promise.allSettled(carriers.map(async (each) => await (await each)[Symbol.asyncDispose]()));
      seal[Symbol.dispose]();
    },
  };
}

/**
 * Serves the app of an upstream or a downstream on a port of our own (`net/web_port.ts`): small requests go to the app,
 * WebSockets become channels over our own frames, which hold back where the runtime's would queue without bound. Every
 * request has a deadline, and those who have not shown yet what they want are bounded, altogether and by address.
 */

import type { Hono } from "hono";
import type { Problem } from "../edge/problem.ts";
import type { Admission, RelayEnv } from "../edge/relay_app.ts";
import { remoteAddressOf } from "../edge/remote_address.ts";
import { BufferPool } from "../net/buffer_pool.ts";
import { MessageSocket } from "../net/message_socket.ts";
import { ReadTurns } from "../net/read_turns.ts";
import { WebPort, type WebsocketAnswer, type WebsocketCall } from "../net/web_port.ts";
import { delay } from "../protocol/clock.ts";
import { MAX_MESSAGE_BYTES } from "../protocol/fragment/messages.ts";
import type { ChannelBounds, MessageChannel } from "../protocol/message_channel.ts";
import { formatTarget, type Target } from "../protocol/stream.ts";
import { listenOn } from "./listening.ts";
import type { RoleContext } from "./role.ts";
import { followTls, type TlsPair, type TlsSettings } from "./tls_files.ts";
import { tracedFetch } from "./traced_fetch.ts";

/** What is served at a path as a WebSocket. */
export interface SocketService {
  readonly bounds: ChannelBounds;
  /** Why this caller is not served, or undefined. */
  refusalOf(remoteAddress: string | undefined, authorization: string | undefined): Problem | undefined;
  /** Takes the channel; calls `settled` once it is known that its owner makes sense. */
  serve(channel: MessageChannel, remoteAddress: string | undefined, settled: () => void): void;
}

export interface RelayPortSettings extends TlsSettings {
  readonly listen: Target;
  readonly behindProxy: boolean;
}

export interface RelayPortOptions {
  readonly settings: RelayPortSettings;
  readonly tls: TlsPair | undefined;
  readonly app: Hono<RelayEnv>;
  /** Counts what never reaches the app. */
  readonly relay: Pick<Admission, "refuse">;
  /** By path. */
  readonly sockets: Readonly<Record<string, SocketService>>;
  readonly pool: BufferPool;
}

/** Disposing ends what has not finished its request; channels belong to whoever took them. */
export interface RelayPort extends AsyncDisposable {
  /** Where it listens, as `host:port`. */
  readonly address: string;
  /** Takes no more connections. */
  close(): void;
}

/** Behind a proxy all have its address. */
const MAX_STRANGERS = 4096;

/** Buffers for all sockets of a relay: at most 36 MiB, however many are busy at once. */
export function relayPool(): BufferPool {
  return new BufferPool({ bufferBytes: 256 * 1024, maxBuffers: 512, maxKept: 32 });
}

export function serveRelay(options: RelayPortOptions, context: RoleContext): RelayPort {
  const { settings, tls, app, relay } = options;
  const { clock, log, metrics, tracing } = context;
  const turns = new ReadTurns(clock);
  const addressOf = (request: { readonly headers: Headers } | undefined, remoteAddress: string) =>
    request ? remoteAddressOf(request.headers, remoteAddress, settings) : remoteAddress;
  const port = listenOn(settings.listen, (listen) =>
    new WebPort({
      listen,
      tls,
      clock,
      log,
      metrics,
      limits: { maxBodyBytes: MAX_MESSAGE_BYTES, maxStrangersPerAddress: settings.behindProxy ? MAX_STRANGERS : 1024 },
      onWebsocket(call) {
        const remoteAddress = settings.behindProxy ? addressOf(call.request(), call.remoteAddress) : call.remoteAddress;
        return answerOf(call, remoteAddress, { ...options, turns }, context);
      },
      answerUnfit: (why, detail) => relay.refuse(why === "too_large" ? why : "bad_request", detail).response(),
      fetch: tracedFetch(tracing, (request, remoteAddress) =>
        app.fetch(request, { remoteAddress: addressOf(request, remoteAddress) })),
    }));
  const following = tls &&
    followTls(settings, { clock, log, current: tls, onChange: (pair) => port.renewTls(pair) });
  const { hostname, port: number } = port.address;
  const address = formatTarget({ host: hostname, port: number });
  return {
    address,
    close: () => port.close(),
    async [Symbol.asyncDispose]() {
      following?.[Symbol.dispose]();
      port.close();
      await port.closed();
    },
  };
}

function answerOf(
  call: WebsocketCall,
  remoteAddress: string | undefined,
  { sockets, pool, turns }: RelayPortOptions & { readonly turns: ReadTurns },
  { clock }: RoleContext,
): WebsocketAnswer {
  const service = Object.hasOwn(sockets, call.path) ? sockets[call.path] : undefined;
  if (!service) return { status: 404 };
  const refusal = service.refusalOf(remoteAddress, call.authorization);
  if (refusal) return { response: refusal.response() };
  return {
    take(stream, first, settled) {
      const { maxMessageBytes, maxQueuedBytes } = service.bounds;
      const channel = new MessageSocket(stream, { clock, pool, turns, first, maxMessageBytes, maxQueuedBytes });
      service.serve(channel, remoteAddress, settled);
    },
  };
}

/** How long those who were told goodbye may take. */
const GOODBYE_MS = 2000;

/** Until it holds, a while has passed, or everything is to be cut. */
export async function emptied(isEmpty: () => boolean, { clock, hardSignal }: RoleContext): Promise<void> {
  const untilMs = clock.now() + GOODBYE_MS;
  while (!isEmpty() && clock.now() < untilMs && !hardSignal.aborted) {
    await delay(clock, 20, hardSignal).catch(() => {});
  }
}

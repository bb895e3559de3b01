/**
 * The two ends of a transport, each a process: a far end that dials one target, and a near end that leads every connection
 * to a local port there.
 *
 *   program ─ TCP ─ near ═══ dialect over a carrier ═══ far ─ TCP ─ target
 *
 * A dialect is a row of the table below. What the near end must know of the far one, the far end tells when it is ready.
 */

import { clockOf } from "../../protocol/clock.ts";
import { silentLog } from "../../protocol/log.ts";
import { noMetrics } from "../../protocol/metrics.ts";
import { portablePrimitives } from "../../protocol/primitives.ts";
import { randomOf } from "../../protocol/random.ts";
import type { CryptName } from "../../protocol/packet_layer/crypt.ts";
import {
  type ClientCredential,
  drawSecretText,
  formatCredential,
  parseCredential,
  parseNamedSecret,
  parseServerKey,
} from "../../protocol/sealed_packets/credentials.ts";
import type { Path, Target } from "../../protocol/stream.ts";
import { CulvertKcpPath } from "../../net/kcp/culvert_client.ts";
import { CulvertKcpServer } from "../../net/kcp/culvert_server.ts";
import { openKcptun } from "../../net/kcp/kcptun_client.ts";
import { serveKcptun } from "../../net/kcp/kcptun_server.ts";
import { openCarrier } from "../../net/packets/open_carrier.ts";
import { openDatagramCarrier } from "../../net/packets/udp_carrier.ts";
import { openSealCrypto } from "../../net/seal_crypto.ts";
import { openVtcp } from "../../net/vtcp/vtcp_path.ts";
import { VtcpServer } from "../../net/vtcp/vtcp_server.ts";
import { splice } from "../../net/splice.ts";

export interface TransportEnd {
  readonly dialect: string;
  readonly carrier: "udp" | "raw";
  /** Of the dialect `kcptun`. */
  readonly crypt: CryptName;
  /** Where the far end is. */
  readonly host: string;
  readonly port: number;
  /** Where every connection leads. */
  readonly target: Target;
}

interface Dialect {
  /** Begins to serve; gives what the near end must know. */
  serve(end: TransportEnd, stack: AsyncDisposableStack): Promise<string>;
  open(end: TransportEnd, credential: string): Promise<Path>;
}

/** A crowd has several, as hellos of one credential are only remembered up to a number, and refused beyond it. */
const CREDENTIALS = 16;

const MOST_ATTEMPTS = 5;
/** A thousand of them are in one process, which has else to do than to ask all the time whether the server lives. */
const CROWD_ALIVE_MS = 15_000;

const clock = clockOf(globalThis);
const around = { clock, random: randomOf(crypto), log: silentLog, metrics: noMetrics };

/** Whoever is dialled: what a policy costs is for others to measure. */
const straight: Path = {
  dial: ({ host, port }) => Deno.connect({ hostname: host, port }),
  close: () => {},
  [Symbol.dispose]: () => {},
};

const dialects: Readonly<Record<string, Dialect>> = {
  culvert: { serve: serveCulvert, open: (end, credential) => Promise.resolve(openCulvert(end, credential)) },
  kcptun: {
    async serve(end, stack) {
      const carrier = await openServing(end);
      stack.use(
        await serveKcptun({ ...kcptunSettings(end), carrier, target: end.target, onward: straight, ...around }),
      );
      return "";
    },
    open: (end) => Promise.resolve(openKcptun({ ...kcptunSettings(end), host: end.host, port: end.port, ...around })),
  },
  vtcp: { serve: serveVtcp, open: openVtcpTo },
};

/** Those of the rival. */
function kcptunSettings({ crypt }: TransportEnd) {
  const shards = { datashard: 0, parityshard: 0 };
  return { key: "benchmark", mode: "fast3", sndwnd: 2048, rcvwnd: 2048, nocomp: true, ...shards, crypt } as const;
}

async function serveCulvert(end: TransportEnd, stack: AsyncDisposableStack): Promise<string> {
  const { server, clients, credentials } = drawKeys();
  const seal = stack.use(await openSealCrypto());
  const carriers = [await openServing(end)];
  stack.use(new CulvertKcpServer({ carriers, crypto: seal, server, clients, onward: straight, ...around }));
  return credentials;
}

function openCulvert(end: TransportEnd, credential: string): CulvertKcpPath {
  return new CulvertKcpPath({
    credential: credentialOf(credential, 0),
    server: { host: end.host, ports: end.port },
    openCarrier: (host) => openCarrier({ kind: end.carrier, peer: { host, ports: end.port }, ...around }),
    ...around,
  });
}

async function serveVtcp(end: TransportEnd, stack: AsyncDisposableStack): Promise<string> {
  const { server: { privateKey }, clients, credentials } = drawKeys();
  const carrier = { kind: end.carrier, listen: { host: end.host, ports: end.port } };
  const hop = { name: "vtcp server", at: end.host };
  stack.use(await VtcpServer.start({ privateKey, clients, carrier, onward: straight, hop, ...around }));
  return credentials;
}

function openVtcpTo({ carrier, host, port }: TransportEnd, credential: string): Promise<Path> {
  const peer = { host, ports: port };
  return openVtcp({ credential: credentialOf(credential, 0), carrier: { kind: carrier, peer }, ...around });
}

function drawKeys() {
  const { random } = around;
  const server = parseServerKey(portablePrimitives, drawSecretText(random));
  const clients = Array.from(
    { length: CREDENTIALS },
    (_, at) => parseNamedSecret(`bench${at}=${drawSecretText(random)}`),
  );
  const credentials = clients
    .map(({ secret }) => formatCredential({ serverPublicKey: server.publicKey, secret })).join(",");
  return { server, clients, credentials };
}

function credentialOf(credentials: string, at: number): ClientCredential {
  return parseCredential(credentials.split(",")[at % CREDENTIALS]!);
}

function openServing({ carrier, host, port }: TransportEnd) {
  return openCarrier({ kind: carrier, listen: { host, ports: port }, ...around });
}

function dialectOf({ dialect }: TransportEnd): Dialect {
  const found = dialects[dialect];
  if (found) return found;
  throw new Error(`Cannot load: --dialect must be one of ${Object.keys(dialects).join(", ")}, got ${dialect}`);
}

/** Serves until `ended`. */
export async function serveFar(
  end: TransportEnd,
  print: (line: unknown) => void,
  ended: Promise<unknown>,
): Promise<void> {
  await using stack = new AsyncDisposableStack();
  print({ ready: true, credential: await dialectOf(end).serve(end, stack) });
  await ended;
}

/** Leads connections to `listen` on until `ended`. */
export async function serveNear(
  end: TransportEnd,
  { listen, credential }: { readonly listen: Target; readonly credential: string },
  print: (line: unknown) => void,
  ended: Promise<unknown>,
): Promise<void> {
  using path = await dialectOf(end).open(end, credential);
  using listener = Deno.listen({ hostname: listen.host, port: listen.port });
  print({ ready: true });
  const lead = async () => {
    for await (const connection of listener) {
      connection.setNoDelay();
      path.dial(end.target).then((stream) => splice(connection, stream), (error) => {
        console.error(`Cannot dial: ${error instanceof Error ? error.message : error}`);
        connection.close();
      });
    }
  };
  await Promise.race([ended, lead()]);
}

/**
 * Clients of the dialect `culvert` that do nothing, each with a port of its own; over Deno's sockets, as it is the server
 * that is weighed and a thousand of the others would each want a thread.
 */
export async function holdCrowd(
  end: TransportEnd,
  { credential, count }: { readonly credential: string; readonly count: number },
  print: (line: unknown) => void,
  ended: Promise<unknown>,
): Promise<void> {
  using stack = new DisposableStack();
  const seal = stack.use(await openSealCrypto());
  const peer = { host: end.host, ports: end.port };
  for (let client = 0; client < count; client++) {
    const path = stack.use(
      new CulvertKcpPath({
        credential: credentialOf(credential, client),
        server: peer,
        crypto: seal,
        openCarrier: () => Promise.resolve(openDatagramCarrier({ kind: "udp", peer, ...around })),
        hopMs: 0,
        mux: { keepAliveIntervalMs: CROWD_ALIVE_MS, keepAliveTimeoutMs: 4 * CROWD_ALIVE_MS },
        ...around,
      }),
    );
    await readyInTime(path);
  }
  print({ ready: true });
  await ended;
}

/** On a busy machine an attempt may run out of time; the path goes on by itself. */
async function readyInTime(path: CulvertKcpPath): Promise<void> {
  for (let attempts = 1;; attempts++) {
    try {
      return await path.ready();
    } catch (error) {
      if (attempts === MOST_ATTEMPTS) throw error;
    }
  }
}

/**
 * `culvert central`: where what clients send in fragments comes together, and leaves for the internet.
 *
 *   upstreams ─ hops ─▶ --listen ─▶ sessions ─▶ --path (direct: by default) ─▶ …        answers ─ hops ─▶ downstreams
 *
 * What clients reach through it in stream mode is theirs alone, sealed by TLS as ever; in request mode central makes the
 * requests itself, and sees what is in them.
 */

import { z } from "zod";
import { BufferPool } from "../net/buffer_pool.ts";
import { Central } from "../net/fragments/central.ts";
import { RequestServer } from "../net/request_server.ts";
import { WebPort } from "../net/web_port.ts";
import { aborted } from "../protocol/abort.ts";
import { delay } from "../protocol/clock.ts";
import { hopSlab } from "../protocol/fragment/hop_seal.ts";
import { openReedSolomon } from "../protocol/fragment/reed_solomon.ts";
import { formatTarget, type Path } from "../protocol/stream.ts";
import { listenOn } from "./listening.ts";
import { openRelayParts, relayFlags, type RelayParts } from "./relay_settings.ts";
import { listenAddress } from "./fields.ts";
import { defineRole, type Role, type RoleContext, runRole } from "./role.ts";
import { followTls } from "./tls_files.ts";
import { openWayOut, wayOut } from "./way_out.ts";

const config = z.object({
  listen: listenAddress("127.0.0.1:8460").describe("Where upstreams connect."),
  ...relayFlags,
  ...wayOut,
  maxSessions: z.number().int().min(1).max(100_000).default(1024).describe("Sessions of clients at once."),
  maxSessionsPerClient: z.number().int().min(1).max(10_000).default(16)
    .describe("Of one client, in a closed network, where clients are known."),
  allowRequestMode: z.boolean().default(true)
    .describe("Make HTTP requests for clients that ask for it; what is in them is seen here."),
});

type Settings = z.output<typeof config>;

/** Below the URL that others know. */
const HOP_PATH = "/v1/hop";
const NOT_HERE = "Not found\n";
/** What is said last goes out before hops are closed. */
const GOODBYE_MS = 100;

export const role: Role<typeof config> = defineRole({
  name: "central",
  summary: "Puts together what clients send in fragments, and lets it out under a policy.",
  config,
  examples: [
    "culvert central --base https://base.example --egress-policy policy.toml",
    "culvert central --base https://b.example --advertise https://c1.example",
    "culvert central --base https://b.example --path circuit+https://b.example/",
  ],
  async run(config, context) {
    const { signal, clock, log } = context;
    await using parts = await openRelayParts(config, {
      kind: "central",
      action: "start central",
      others: ["upstream", "downstream"],
    }, context);
    await using onward = await openWayOut(config, "start central", context);
    using requests = config.allowRequestMode ? openRequests(onward.path, parts, context) : undefined;
    using central = new Central({ ...centralParts(config, parts, context), onward: onward.path, requests });
    using port = listenOn(config.listen, (listen) => openPort(listen, central, { ...context, tls: parts.tls }));
    using _following = parts.tls &&
      followTls(config, { clock, log, current: parts.tls, onChange: (pair) => port.renewTls(pair) });
    const { hostname, port: number } = port.address;
    const listening = formatTarget({ host: hostname, port: number });
    await using registrar = parts.register({
      url: parts.urlOf(listening),
      current: () => ({ load: central.load }),
    });
    context.check("base", () => registrar.problem);
    context.ready({ addresses: { listen: listening } });
    await aborted(signal);
    await end(central, port, { ...context, onDraining: () => registrar.hurry() });
  },
});

function openRequests(path: Path, { caCerts }: RelayParts, { clock, metrics }: RoleContext): RequestServer {
  return new RequestServer({ path, caCerts, clock, metrics });
}

/** Who we are, what we are made of, and within which bounds. */
function centralParts(
  { maxSessions, maxSessionsPerClient }: Settings,
  { identity, primitives, crypto, relays, membership, caCerts, locate }: RelayParts,
  { clock, random, log, metrics }: RoleContext,
) {
  const local = { privateKey: identity.secrets().wireguardKey, publicKey: identity.wireguardPublicKey };
  return {
    centralId: identity.peerId,
    tools: { clock, random, crypto, slab: hopSlab(), pool: new BufferPool(), local, locate },
    ...{ primitives, relays, log, metrics, caCerts },
    network: membership?.network,
    reedSolomon: openReedSolomon(),
    hops: [{ name: "central", at: identity.peerId }],
    limits: { maxSessions, maxSessionsPerClient },
  };
}

function openPort(
  listen: { hostname: string; port: number },
  central: Central,
  options: Pick<RelayParts, "tls"> & Pick<RoleContext, "clock" | "log" | "metrics">,
): WebPort {
  const { tls, clock, log, metrics } = options;
  return new WebPort({
    ...{ listen, tls, clock, log, metrics },
    onWebsocket: ({ path }) =>
      path.endsWith(HOP_PATH)
        ? { take: (stream, first, settled) => central.acceptHop(stream, first, settled) }
        : { status: 404 },
    fetch: () => new Response(NOT_HERE, { status: 404 }),
    limits: { maxBodyBytes: 0 },
  });
}

async function end(
  central: Central,
  port: WebPort,
  { hardSignal, clock, onDraining }: Pick<RoleContext, "hardSignal" | "clock"> & { onDraining(): void },
): Promise<void> {
  const drained = central.drain(hardSignal);
  onDraining(); // base is told that we are full, so that clients go elsewhere
  await drained;
  port.close();
  await delay(clock, GOODBYE_MS, hardSignal).catch(() => {});
  central.close();
  await Promise.all([central.closed(), port.closed()]);
}

if (import.meta.main) Deno.exit(await runRole(role, Deno.args));

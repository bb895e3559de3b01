/**
 * `culvert supernode`: where the peers of a region come together. It keeps their control streams, finds exits for
 * clients, and relays what they say to each other, which it cannot read.
 *
 *   clients, exits ─▶ --listen ◀─▶ other supernodes        base ◀─ --base
 */

import deno from "../deno.json" with { type: "json" };
import { aborted } from "../protocol/abort.ts";
import { encodeBase64 } from "../protocol/encoding.ts";
import { messageOf } from "../protocol/errors.ts";
import { formatTarget } from "../protocol/stream.ts";
import { requireSafeAdmin } from "./admin_api/settings.ts";
import { type HttpServer, serveHttp } from "./http_server.ts";
import { isLoopback, listenOn } from "./listening.ts";
import { defineRole, type Role, type RoleContext, runRole } from "./role.ts";
import { openSupernodeAdmin } from "./supernode/admin_port.ts";
import { BaseMembership } from "./supernode/base_membership.ts";
import { openCarriers } from "./supernode/carriers.ts";
import { comeBack, emptied, leave } from "./supernode/leaving.ts";
import type { PacketCarriers } from "./supernode/packet_relay.ts";
import { openSupernodeParts, type SupernodeParts } from "./supernode/parts.ts";
import { ACTION, requireWholePeering, type SupernodeSettings, supernodeSettings } from "./supernode/settings.ts";
import { Supernode } from "./supernode/supernode.ts";
import { followTls } from "./tls_files.ts";
import { Vitals } from "./supernode/vitals.ts";

/** How long peers have to move elsewhere when the supernode stops. */
const DRAIN_MS = 5_000;

export const role: Role<typeof supernodeSettings> = defineRole({
  name: "supernode",
  summary: "Keeps the peers of a region, finds them exits and relays what they seal.",
  config: supernodeSettings,
  examples: [
    "culvert supernode --region eu-west --base http://127.0.0.1:8480",
    "culvert supernode --cert-file chain.pem --key-file key.pem --region eu-west",
    "CULVERT_ADMIN_TOKEN=$TOKEN culvert supernode --config supernode.toml",
  ],
  async run(config, context) {
    const { signal, hardSignal, clock, log, metrics } = context;
    requireSafeAdmin(config, ACTION);
    requireWholePeering(config);
    await using parts = await openSupernodeParts(config, context);
    const { directory, lost } = parts;
    await using carriers = await openCarriers(config, parts.identity, context);
    await using supernode = await openSupernode(config, { ...parts, carriers }, context);
    const { listen, url } = listenFor(supernode, { config, parts, log });
    await using peering = await listenForPeering(supernode, { config, parts });
    using _following = parts.tls && followTls(config, {
      clock,
      log,
      current: parts.tls,
      onChange(pair) {
        supernode.renewTls(pair);
        peering?.renewTls(pair);
      },
    });
    using vitals = new Vitals({
      clock,
      metrics,
      traffic: supernode.links.traffic,
      wireguardPeers: () => wireguardPeersOf(supernode),
    });
    await using joined = joinBase(supernode, {
      config,
      parts,
      url,
      peeringUrl: peeringUrlOf(config, peering),
      context,
    });
    const { membership } = joined;
    const { region } = config;
    const drain = (leaveWithinMs: number, signal?: AbortSignal) =>
      leave({ supernode, directory, membership, region, leaveWithinMs, signal });
    const undrain = () => comeBack({ supernode, membership });
    await using admin = await openSupernodeAdmin(config, { supernode, parts, vitals, drain, undrain }, context);
    const withId = new URL(url);
    withId.username = supernode.supernodeId;
    const addresses = {
      listen,
      ...(peering && { peering: peering.address }),
      ...admin?.addresses,
      supernode: withId.href,
    };
    context.ready({ addresses, words: { supernode: "peers connect with --supernode" } });
    const overtaken = await Promise.race([aborted(signal), lost]);
    if (overtaken) throw overtaken;
    await drain(DRAIN_MS, hardSignal).catch((error) => log.warn("Cannot drain", { error: messageOf(error) }));
    await emptied(supernode, { clock, withinMs: DRAIN_MS, hardSignal });
  },
});

function openSupernode(
  config: SupernodeSettings,
  parts: SupernodeParts & { readonly carriers: PacketCarriers | undefined },
  { clock, random, log, metrics, tracing }: RoleContext,
): Promise<Supernode> {
  return Supernode.open({
    ...parts,
    region: config.region,
    certificate: parts.membership?.certificate,
    maxStreams: config.maxStreams,
    maxLinks: config.maxLinks,
    sessionLifetimeMs: config.sessionLifetime,
    clientGraceMs: config.clientGrace,
    authLimits: { address: { perSecond: config.authRate, burst: config.authRate * 10 } },
    maxStrangersPerAddress: config.authRate * 10,
    isPeeringElsewhere: config.peeringListen !== undefined,
    clock,
    random,
    log,
    metrics,
    tracing,
  });
}

interface Surroundings {
  readonly config: SupernodeSettings;
  readonly parts: SupernodeParts;
}

/** Where it listens, and the URL under which others come. */
function listenFor(
  supernode: Supernode,
  { config, parts: { tls }, log }: Surroundings & Pick<RoleContext, "log">,
): { readonly listen: string; readonly url: string } {
  const { hostname, port } = listenOn(config.listen, (at) => supernode.listen(at));
  const listen = formatTarget({ host: hostname, port });
  if (!tls && !isLoopback(config.listen)) {
    log.warn("The supernode is not encrypted: put TLS in front of it, or give --cert-file and --key-file", { listen });
  }
  return { listen, url: config.advertise ?? `${tls ? "https" : "http"}://${listen}` };
}

/** The port at which other supernodes have to show TLS certificates, if there is to be one. */
async function listenForPeering(
  supernode: Supernode,
  { config: { peeringListen }, parts: { tls, clientCa } }: Surroundings,
): Promise<HttpServer | undefined> {
  if (!peeringListen) return undefined;
  return await serveHttp({
    listen: peeringListen,
    what: "other supernodes",
    flag: "--peering-listen",
    fetch: (request, { remoteAddress }) => supernode.answer(request, remoteAddress),
    clientCa,
    ...(tls && { tls }),
  });
}

function peeringUrlOf({ peeringAdvertise }: SupernodeSettings, peering: HttpServer | undefined): string | undefined {
  return peering && (peeringAdvertise ?? `https://${peering.address}`);
}

interface Joining extends Surroundings {
  readonly url: string;
  readonly peeringUrl: string | undefined;
  readonly context: RoleContext;
}

/** Registers with base, if there is one, until it is disposed. */
function joinBase(supernode: Supernode, { config, parts, url, peeringUrl, context }: Joining) {
  const { directory, identity, membership: place } = parts;
  if (!directory) return { membership: undefined, async [Symbol.asyncDispose]() {} };
  const { clock, random, log } = context;
  const membership = new BaseMembership({
    directory,
    registration: () => ({
      supernodeId: identity.peerId,
      publicKey: encodeBase64(identity.publicKey),
      region: config.region,
      url,
      ...(peeringUrl !== undefined && { peeringUrl }),
      maxStreams: config.maxStreams,
      version: deno.version,
      ...(place && { certificate: place.certificate() }),
    }),
    status: () => supernode.status,
    clock,
    random,
    log,
  });
  context.check("base", () => membership.problem);
  supernode.onExits = () => membership.hurry();
  if (place) place.onRenewed = () => membership.registerAnew();
  const leaving = new AbortController();
  const running = membership.run(leaving.signal);
  return {
    membership,
    async [Symbol.asyncDispose]() {
      leaving.abort();
      await running;
    },
  };
}

function wireguardPeersOf(supernode: Supernode): number {
  let peers = 0;
  for (const { telemetry } of supernode.streams) peers += telemetry?.wireguard?.peers ?? 0;
  return peers;
}

if (import.meta.main) Deno.exit(await runRole(role, Deno.args));

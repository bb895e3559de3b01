/**
 * `culvert supernode`: where the peers of a region come together. It keeps their control streams, finds exits for
 * clients, and relays what they say to each other, which it cannot read.
 *
 *   clients, exits ─▶ --listen ◀─▶ other supernodes        base ◀─ --base
 */

import { z } from "zod";
import deno from "../deno.json" with { type: "json" };
import { createKvAudit } from "../kv/audit.ts";
import { createKvBlocks } from "../kv/blocks.ts";
import { createKvQueues } from "../kv/commands.ts";
import { createKvNonces } from "../kv/nonces.ts";
import { createKvSessions } from "../kv/sessions.ts";
import { DirectoryClient } from "../net/directory_client.ts";
import { hostPrimitives } from "../net/host_primitives.ts";
import type { Fetch } from "../net/signed_http.ts";
import { encodeCertificate, networkIdOf } from "../protocol/certificate.ts";
import { type Clock, delay } from "../protocol/clock.ts";
import { type ClosedNetwork, SUPERNODE_ROLE } from "../protocol/control/auth.ts";
import type { SupernodeAddress } from "../protocol/control/commands.ts";
import { decodeBase64, encodeBase64 } from "../protocol/encoding.ts";
import { CulvertError, messageOf } from "../protocol/errors.ts";
import { urlSchema } from "../protocol/fields.ts";
import type { Identity } from "../protocol/identity.ts";
import { KEY_BYTES, type Primitives } from "../protocol/primitives.ts";
import { formatTarget } from "../protocol/stream.ts";
import { ConfigError } from "./config.ts";
import { durationMs, filePath, listenAddress, secret } from "./fields.ts";
import { type HttpServer, serveHttp } from "./http_server.ts";
import { loadCertificates, loadOrCreateIdentity } from "./identity_store.ts";
import { kvFlag, openRoleKv } from "./kv_store.ts";
import { isLoopback, listenOn } from "./listening.ts";
import { regionName } from "./peer/settings.ts";
import { readPem } from "./pem_file.ts";
import { defineRole, type Role, type RoleContext, runRole } from "./role.ts";
import { StateDirectory } from "./state.ts";
import { type AdminApiDeps, createAdminApi } from "./supernode/admin_api.ts";
import { BaseMembership } from "./supernode/base_membership.ts";
import { Supernode } from "./supernode/supernode.ts";
import { Vitals } from "./supernode/vitals.ts";
import { readTls, tlsFlags } from "./tls_files.ts";

const ACTION = "start supernode";
/** How long peers have to move elsewhere when the supernode stops. */
const DRAIN_MS = 5_000;
const DRAIN_LOOK_MS = 50;

const config = z.object({
  region: regionName().describe("The region whose peers come here, such as eu-west."),
  listen: listenAddress("127.0.0.1:8450").describe("Where peers and other supernodes connect."),
  advertise: urlSchema.optional().describe("The URL under which others reach --listen.")
    .meta({ placeholder: "url", defaultText: "made from --listen" }),
  base: z.array(urlSchema.meta({ placeholder: "url" })).default([])
    .describe("A base to register with; several are tried in turn. Without one only exits here are known."),
  ...tlsFlags,
  ...kvFlag("supernode"),
  networkKey: z.string().refine((text) => decodeBase64(text)?.length === KEY_BYTES, { error: "32 bytes in base64" })
    .optional()
    .describe("The public key of a closed network, as culvert enroll shows it; without one anybody may connect.")
    .meta({ placeholder: "key" }),
  caFile: filePath().optional().describe("Certificates to trust beside the usual ones, in PEM."),
  maxStreams: z.number().int().min(1).max(1_000_000).default(15_000).describe("Peers connected at once."),
  maxLinks: z.number().int().min(1).max(1_000_000).default(15_000).describe("Data links open at once."),
  authRate: z.number().min(1).max(1_000_000).default(20)
    .describe("Control streams that one address may open in a second; ten times as many at once.")
    .meta({ placeholder: "count" }),
  clientGrace: durationMs("60s").describe("How long sessions stay when their client has gone."),
  adminListen: listenAddress().optional().describe("Serve the administrators' API here; needs --admin-token."),
  adminToken: secret().optional().describe("What an administrator must know. Best given as CULVERT_ADMIN_TOKEN."),
});
type Settings = z.output<typeof config>;

export const role: Role<typeof config> = defineRole({
  name: "supernode",
  summary: "Keeps the peers of a region, finds them exits and relays what they seal.",
  config,
  examples: [
    "culvert supernode --region eu-west --base http://127.0.0.1:8480",
    "culvert supernode --cert-file chain.pem --key-file key.pem --region eu-west",
    "CULVERT_ADMIN_TOKEN=T culvert supernode --config supernode.toml",
  ],
  async run(config, context) {
    const { signal, hardSignal, clock, random, log, metrics, stateDir } = context;
    if (config.adminListen && config.adminToken === undefined) {
      throw new ConfigError(ACTION, ["--admin-listen needs a token (CULVERT_ADMIN_TOKEN)"]);
    }
    if (config.adminListen && !isLoopback(config.adminListen)) {
      const given = formatTarget(config.adminListen);
      throw new ConfigError(ACTION, [
        `--admin-listen must be a loopback address, since it is not encrypted, got ${given}`,
      ]);
    }
    const primitives = hostPrimitives();
    const state = await StateDirectory.open(stateDir);
    const { identity } = await loadOrCreateIdentity(state, { random, primitives, clock, signal });
    const { network, certificate } = await openNetwork(config, state, primitives);
    const tls = await readTls(config, ACTION);
    const caCerts = config.caFile === undefined
      ? undefined
      : [await readPem(config.caFile, { flag: "--ca-file", action: ACTION })];
    const shared = { clock, random, log, metrics, primitives, identity, network, certificate };
    using kv = await openRoleKv(config, { role: "supernode", stateDir });
    using client = caCerts && Deno.createHttpClient({ caCerts });
    const byClient = client && ((request: Request) => fetch(request, { client }));
    using directory = openDirectory(config, { ...shared, fetch: byClient });
    const blocks = createKvBlocks(kv, clock, { space: "network" });
    using supernode = await Supernode.open({
      ...shared,
      region: config.region,
      tls,
      stores: { ...storesIn(kv, clock, identity.peerId), blocks },
      directory,
      caCerts,
      ...(byClient && { fetch: byClient }),
      maxStreams: config.maxStreams,
      maxLinks: config.maxLinks,
      clientGraceMs: config.clientGrace,
      authLimits: { address: { perSecond: config.authRate, burst: config.authRate * 10 } },
    });
    const { hostname, port } = listenOn(config.listen, (at) => supernode.listen(at));
    const listen = formatTarget({ host: hostname, port });
    const url = config.advertise ?? `${tls ? "https" : "http"}://${listen}`;
    if (!tls && !isLoopback(config.listen)) {
      log.warn("The supernode is not encrypted: put TLS in front of it, or give --cert-file and --key-file", {
        listen,
      });
    }
    using _vitals = new Vitals({
      clock,
      metrics,
      relayedBytes: () => supernode.links.relayedBytes,
      wireguardPeers: () => wireguardPeersOf(supernode),
    });
    const membership = directory && joinBase(directory, { config, supernode, url, ...shared });
    if (membership) {
      context.check("base", () => membership.problem);
      supernode.onExits = () => membership.hurry();
    }
    const staying = new AbortController();
    const running = membership?.run(staying.signal);
    const drain = (leaveWithinMs: number) =>
      leave({ supernode, directory, membership, region: config.region, leaveWithinMs });
    await using admin = await serveAdmin(config, {
      supernode,
      audit: createKvAudit(kv, clock, { space: identity.peerId }),
      blocks,
      clock,
      random,
      log,
      drain,
    });
    const withId = new URL(url);
    withId.username = identity.peerId;
    const addresses = { listen, supernode: withId.href, ...(admin && { admin: admin.address }) };
    context.ready({ addresses, note: `peers connect with --supernode ${withId.href}` });
    await aborted(signal);
    await drain(DRAIN_MS).catch((error) => log.warn("Cannot drain", { error: messageOf(error) }));
    await emptied(supernode, { clock, hardSignal });
    staying.abort();
    supernode.close();
    await Promise.all([supernode.closed(), running]);
  },
});

function storesIn(kv: Deno.Kv, clock: Clock, space: string) {
  return {
    queues: createKvQueues(kv, clock, { space }),
    sessions: createKvSessions(kv, clock, { space }),
    nonces: createKvNonces(kv, clock, { space }),
  };
}

/** The closed network this supernode is of, and its certificate in it; nothing in an open one. */
async function openNetwork(
  { networkKey, region }: Settings,
  state: StateDirectory,
  primitives: Primitives,
): Promise<{ readonly network: ClosedNetwork | undefined; readonly certificate: string | undefined }> {
  if (networkKey === undefined) return { network: undefined, certificate: undefined };
  const networkPublicKey = decodeBase64(networkKey)!;
  const networkId = networkIdOf(networkPublicKey, primitives);
  const certificate = (await loadCertificates(state)).find((each) => each.networkId === networkId);
  if (certificate) return { network: { networkPublicKey }, certificate: encodeCertificate(certificate) };
  throw new CulvertError(
    "no_certificate",
    `Cannot ${ACTION}: ${state.path} must hold a certificate of the network ${networkId} for ${SUPERNODE_ROLE} in ` +
      `${region}; see culvert enroll`,
  );
}

interface DirectoryTools extends Pick<RoleContext, "clock" | "random" | "log"> {
  readonly identity: Identity;
  readonly primitives: Primitives;
  readonly network: ClosedNetwork | undefined;
  readonly fetch: Fetch | undefined;
}

function openDirectory({ base }: Settings, tools: DirectoryTools): DirectoryClient | undefined {
  if (base.length === 0) return undefined;
  const { identity, primitives, network, fetch, clock, random, log } = tools;
  return new DirectoryClient({
    bases: base.map((url) => new URL(url.endsWith("/") ? url : `${url}/`)),
    signer: identity,
    clock,
    random,
    log,
    primitives,
    networkPublicKey: network?.networkPublicKey,
    fetch,
  });
}

interface JoinTools extends Pick<RoleContext, "clock" | "random" | "log"> {
  readonly config: Settings;
  readonly supernode: Supernode;
  readonly url: string;
  readonly identity: Identity;
  readonly certificate: string | undefined;
}

function joinBase(directory: DirectoryClient, tools: JoinTools): BaseMembership {
  const { config, supernode, url, identity, certificate, clock, random, log } = tools;
  return new BaseMembership({
    directory,
    registration: {
      supernodeId: identity.peerId,
      publicKey: encodeBase64(identity.publicKey),
      region: config.region,
      url,
      maxStreams: config.maxStreams,
      version: deno.version,
      ...(certificate !== undefined && { certificate }),
    },
    status: () => supernode.status,
    clock,
    random,
    log,
  });
}

interface Leaving {
  readonly supernode: Supernode;
  readonly directory: DirectoryClient | undefined;
  readonly membership: BaseMembership | undefined;
  readonly region: string;
  readonly leaveWithinMs: number;
}

/** Sends all peers to other supernodes, of this region if there are any, and tells base that nobody else should come. */
async function leave({ supernode, directory, membership, region, leaveWithinMs }: Leaving): Promise<void> {
  const { supernodeId } = supernode;
  let others: SupernodeAddress[] = [];
  try {
    const known = await directory?.candidates({ exclude: [supernodeId] }) ?? [];
    const near = known.filter((one) => one.region === region);
    others = (near.length > 0 ? near : known).map(({ url, supernodeId }) => ({ url, supernodeId }));
  } finally {
    supernode.drain(others, leaveWithinMs);
    await membership?.report().catch(() => {}); // base finds out by itself before long
  }
}

/** Settles when the last peer has gone, or it has taken too long. */
async function emptied(supernode: Supernode, { clock, hardSignal }: { clock: Clock; hardSignal: AbortSignal }) {
  const untilMs = clock.now() + DRAIN_MS;
  while (supernode.streams.size > 0 && clock.now() < untilMs && !hardSignal.aborted) {
    await delay(clock, DRAIN_LOOK_MS, hardSignal).catch(() => {});
  }
}

async function serveAdmin(
  { adminListen, adminToken }: Settings,
  deps: Omit<AdminApiDeps, "token">,
): Promise<HttpServer | undefined> {
  if (!adminListen || adminToken === undefined) return undefined;
  const api = createAdminApi({ ...deps, token: adminToken });
  return await serveHttp({
    listen: adminListen,
    what: "the administrators' API",
    flag: "--admin-listen",
    fetch: (request) => api.fetch(request),
    maxConnections: 64,
  });
}

function wireguardPeersOf(supernode: Supernode): number {
  let peers = 0;
  for (const { telemetry } of supernode.streams) peers += telemetry?.wireguard?.peers ?? 0;
  return peers;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

if (import.meta.main) Deno.exit(await runRole(role, Deno.args));

/**
 * What an exit and a client are made of alike: identity and certificate, cryptography, the store of applied commands, and
 * the connection to the supernodes, whose commands it carries out.
 */

import deno from "../../deno.json" with { type: "json" };
import { createKvApplied } from "../../kv/applied_commands.ts";
import type { WriteGuard } from "../../kv/commit.ts";
import { openKv } from "../../kv/open.ts";
import { StoreHealth } from "../../kv/store_health.ts";
import { hostPrimitives } from "../../net/host_primitives.ts";
import type { MuxStream } from "../../net/mux.ts";
import { PeerConnection } from "../../net/peer_connection.ts";
import { openSealCrypto } from "../../net/seal_crypto.ts";
import type { Locate } from "../../net/websocket_dial.ts";
import type { SealParts } from "../../net/sealed_stream.ts";
import { SlabPool } from "../../net/slab_pool.ts";
import type { ClosedNetwork } from "../../protocol/control/auth.ts";
import type { Command, RelayUpdate, SupernodeAddress } from "../../protocol/control/commands.ts";
import type { ControlRole, Telemetry } from "../../protocol/control/messages.ts";
import type { Identity } from "../../protocol/identity.ts";
import type { NoiseKeyPair } from "../../protocol/noise_ik.ts";
import type { Primitives } from "../../protocol/primitives.ts";
import { Membership, type Place } from "../closed_network.ts";
import { loadOrCreateIdentity } from "../identity_store.ts";
import { readPem } from "../pem_file.ts";
import type { RoleContext } from "../role.ts";
import { StateDirectory } from "../state.ts";
import { CommandDesk, type CommandHandler, type CommandHandlers } from "./commands.ts";
import type { PeerSettings } from "./settings.ts";

/** What there is before the connection. */
export interface PeerParts extends SealParts {
  readonly identity: Identity;
  /** The identity's X25519 key, with which it seals. */
  readonly local: NoiseKeyPair;
  readonly primitives: Primitives;
  /** The closed network, if it is one. */
  readonly network: ClosedNetwork | undefined;
  readonly membership: Membership | undefined;
  readonly kv: Deno.Kv;
  /** For the stores in it. */
  readonly guard: WriteGuard;
}

/** Gathers them; disposing closes what they hold. */
export async function openPeerParts(
  { role, region }: Required<Omit<Place, "peerId">> & { readonly role: ControlRole },
  { networkPublicKey }: PeerSettings,
  context: RoleContext,
): Promise<PeerParts & AsyncDisposable> {
  const { clock, random, signal, log } = context;
  const primitives = hostPrimitives();
  const state = await StateDirectory.open(context.stateDir);
  const { identity } = await loadOrCreateIdentity(state, { random, primitives, clock, signal });
  await using held = new AsyncDisposableStack();
  const place = { peerId: identity.peerId, role, region };
  const membership = networkPublicKey &&
    held.use(await Membership.join(networkPublicKey, { ...context, state, place, primitives }));
  const kv = held.use(await openKv(state.pathOf(`${role}.kv`)));
  const { guard } = held.use(watchStore(kv, role, context));
  const crypto = held.use(await openSealCrypto({ explain: (reason) => log.debug("No libcrypto", { reason }) }));
  const kept = held.move();
  return {
    identity,
    local: { privateKey: identity.secrets().wireguardKey, publicKey: identity.wireguardPublicKey },
    primitives,
    network: membership?.network,
    membership,
    kv,
    guard,
    crypto,
    random,
    clock,
    slabs: new SlabPool(),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** Until it is disposed. */
function watchStore(
  kv: Deno.Kv,
  space: string,
  { clock, log, metrics, check }: RoleContext,
): { readonly guard: WriteGuard } & AsyncDisposable {
  const health = new StoreHealth(kv, { space, clock, log, metrics });
  check("store", () => health.problem);
  const stop = new AbortController();
  const watching = health.run(stop.signal);
  return {
    guard: health.guard,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await watching;
    },
  };
}

export interface PeerOptions {
  readonly role: ControlRole;
  readonly region: string;
  readonly settings: PeerSettings;
  readonly parts: PeerParts;
  readonly handlers: Omit<CommandHandlers, "RELAY_UPDATE">;
  onStream?(stream: MuxStream): void;
  onOpen?(): void;
  telemetry?(): Telemetry | undefined;
  /** Where supernodes are. Default: where the system finds them. */
  readonly locate?: Locate | undefined;
  /** Nothing can be done any more. */
  onFault(error: unknown): void;
}

/** A peer that is connected, or on the way. */
export interface Peer extends AsyncDisposable {
  readonly connection: PeerConnection;
}

/** Connects. Disposing lets go of everything and waits for it. */
export async function openPeer(options: PeerOptions, context: RoleContext): Promise<Peer> {
  const { role, region, settings, parts, onStream, telemetry, locate, onFault } = options;
  const { clock, random, log, metrics, tracing } = context;
  const { identity, primitives, network, membership, kv, guard } = parts;
  const caCerts = await readCaFile(role, settings);
  const space = role;
  const desk = await CommandDesk.open({
    store: createKvApplied(kv, clock, { space, guard }),
    handlers: { ...options.handlers, RELAY_UPDATE: relayUpdates(() => connection, settings.supernode) },
    answer: (result) => connection.control.answer(result),
    onFault,
    clock,
    log,
    metrics,
    tracing,
  });
  const connection: PeerConnection = new PeerConnection({
    identity,
    role,
    region,
    supernodes: settings.supernode,
    certificate: membership?.certificate,
    network,
    version: deno.version,
    primitives,
    random,
    clock,
    log,
    metrics,
    caCerts,
    locate,
    resumeFor: (supernodeId) => desk.resumeFor(supernodeId),
    onCommand: (command, from) => desk.receive(command, from),
    onOpen: () => options.onOpen?.(),
    ...(onStream && { onStream }),
    ...(telemetry && { telemetry }),
  });
  if (membership) membership.onRenewed = () => connection.control.renew();
  context.check("control", () => connection.control.isOpen ? undefined : "There is no control stream to a supernode");
  return {
    connection,
    async [Symbol.asyncDispose]() {
      desk.close();
      connection.close();
      await desk.closed();
      await connection.closed();
    },
  };
}

async function readCaFile(role: ControlRole, { caFile }: PeerSettings): Promise<string[] | undefined> {
  return caFile === undefined ? undefined : [await readPem(caFile, { flag: "--ca-file", action: `start ${role}` })];
}

/** Moves to the supernodes named, with those of the settings behind them. */
function relayUpdates(
  connection: () => PeerConnection,
  configured: readonly SupernodeAddress[],
): CommandHandler<Extract<Command, { kind: "RELAY_UPDATE" }>> {
  return {
    apply({ payload }) {
      const { supernodes, leaveWithinMs }: RelayUpdate = payload;
      if (supernodes.length === 0) return;
      const named = new Set(supernodes.map(({ supernodeId }) => supernodeId));
      const others = configured.filter(({ supernodeId }) => !named.has(supernodeId));
      connection().control.moveTo([...supernodes, ...others], leaveWithinMs / 2);
    },
  };
}

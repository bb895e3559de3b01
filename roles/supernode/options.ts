/**
 * What a supernode is made with: who it is, where its state and its neighbours are, its limits and its pace.
 */

import type { BlockStore } from "../../kv/blocks.ts";
import type { QueueStore } from "../../kv/commands.ts";
import type { NonceStore } from "../../kv/nonces.ts";
import type { RelayAddressStore } from "../../kv/relay_addresses.ts";
import type { SessionStore } from "../../kv/sessions.ts";
import type { DirectoryClient } from "../../net/directory_client.ts";
import type { CertificateAndKey } from "../../net/renewable_listener.ts";
import type { Fetch } from "../../net/signed_http.ts";
import type { Clock } from "../../protocol/clock.ts";
import type { ClosedNetwork } from "../../protocol/control/auth.ts";
import type { AuthLimitOptions } from "../../protocol/control/auth_limits.ts";
import type { StreamServerContext } from "../../protocol/control/stream_server.ts";
import type { Identity } from "../../protocol/identity.ts";
import type { Log } from "../../protocol/log.ts";
import type { Metrics } from "../../protocol/metrics.ts";
import type { Tracing } from "../../protocol/tracing.ts";
import type { Primitives } from "../../protocol/primitives.ts";
import type { Random } from "../../protocol/random.ts";
import type { CommandEnd } from "./command_outbox.ts";
import type { LinkProbesOptions } from "./link_probes.ts";
import type { PacketCarriers } from "./packet_relay.ts";
import type { SupernodeLinksOptions } from "./supernode_links.ts";

export interface SupernodeStores {
  readonly queues: QueueStore;
  readonly sessions: SessionStore;
  readonly nonces: NonceStore;
  readonly blocks: BlockStore;
  readonly relayAddresses: RelayAddressStore;
}

/** How often peers are to ping, when one is given up, how often that is looked at, and how often other things are. */
export interface SupernodePace extends Pick<StreamServerContext, "pingEveryMs" | "timeoutMs"> {
  readonly sweepEveryMs?: number;
  /** Data links. */
  readonly probeEveryMs?: number;
  /** Whether sessions have been deserted or have expired. */
  readonly lookEveryMs?: number;
}

/** What data links are made of, where it is not sockets. */
export interface LinkParts {
  readonly dial: NonNullable<SupernodeLinksOptions["dial"]>;
  readonly probe: NonNullable<LinkProbesOptions["probe"]>;
}

export interface SupernodeOptions {
  readonly identity: Identity;
  readonly region: string;
  readonly tls?: CertificateAndKey | undefined;
  readonly stores: SupernodeStores;
  readonly directory?: DirectoryClient | undefined;
  readonly network?: ClosedNetwork | undefined;
  /** This supernode's own, in a closed network. */
  readonly certificate?: (() => string) | undefined;
  /** PEM certificates to trust beside the usual ones, of other supernodes. */
  readonly caCerts?: readonly string[] | undefined;
  /** For calls to other supernodes; the host's by default. */
  readonly fetch?: Fetch | undefined;
  readonly maxStreams: number;
  /** Other than the usual one. */
  readonly pace?: SupernodePace | undefined;
  readonly linkParts?: LinkParts;
  /** Without them it carries no packets. Whoever gives them closes them. */
  readonly carriers?: PacketCarriers | undefined;
  /** Data links of peers and supernodes together. */
  readonly maxLinks: number;
  /** How long sessions stay after their client has gone. */
  readonly clientGraceMs: number;
  /** Unless they are renewed. Default 12 h. */
  readonly sessionLifetimeMs?: number;
  /** Other supernodes do not make their requests where peers connect: whoever owns this calls `answer`. */
  readonly isPeeringElsewhere?: boolean;
  readonly authLimits?: AuthLimitOptions;
  /** Is told what became of every command. */
  readonly onCommandEnd?: (peerId: string, outcome: CommandEnd) => void;
  /** Connections of one address that have not shown whose they are. Default 200. */
  readonly maxStrangersPerAddress?: number;
  readonly primitives: Primitives;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly tracing?: Tracing | undefined;
}

/**
 * What a supernode is put together from.
 */

import type { BlockStore } from "../../kv/blocks.ts";
import type { QueueStore } from "../../kv/commands.ts";
import type { NonceStore } from "../../kv/nonces.ts";
import type { SessionStore } from "../../kv/sessions.ts";
import type { DirectoryClient } from "../../net/directory_client.ts";
import type { CertificateAndKey } from "../../net/renewable_listener.ts";
import type { Fetch } from "../../net/signed_http.ts";
import type { Clock } from "../../protocol/clock.ts";
import type { ClosedNetwork } from "../../protocol/control/auth.ts";
import type { AuthLimitOptions } from "../../protocol/control/auth_limits.ts";
import type { Identity } from "../../protocol/identity.ts";
import type { Log } from "../../protocol/log.ts";
import type { Metrics } from "../../protocol/metrics.ts";
import type { Primitives } from "../../protocol/primitives.ts";
import type { Random } from "../../protocol/random.ts";

export interface SupernodeStores {
  readonly queues: QueueStore;
  readonly sessions: SessionStore;
  readonly nonces: NonceStore;
  readonly blocks: BlockStore;
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
  /** Data links of peers and supernodes together. */
  readonly maxLinks: number;
  /** How long sessions stay after their client has gone. */
  readonly clientGraceMs: number;
  /** Unless they are renewed. Default 12 h. */
  readonly sessionLifetimeMs?: number;
  /** Other supernodes do not make their requests where peers connect: whoever owns this calls `answer`. */
  readonly isPeeringElsewhere?: boolean;
  readonly authLimits?: AuthLimitOptions;
  /** Connections of one address that have not shown whose they are. Default 200. */
  readonly maxStrangersPerAddress?: number;
  readonly primitives: Primitives;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
}

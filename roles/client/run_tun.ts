/**
 * A client that routes the machine: sessions that carry packets, each through a device of its own, and the machine's
 * traffic through whichever is in use.
 *
 *   probe through the tunnel every half second ── no answer within 1.2 s, or the exit says that it has no way out ──→
 *   another session ── handshake, probe ──→ everything goes there
 *
 * Until then nothing leaves by another way: the old interface is there, and so is the kill switch.
 */

import { systemLookup } from "../../net/resolve.ts";
import type { SessionSwitch } from "../../net/session_switch.ts";
import type { SupernodeWay } from "../../net/watched_session.ts";
import { aborted } from "../../protocol/abort.ts";
import { type Clock, delay } from "../../protocol/clock.ts";
import { RELAY_PATH, supernodeEndpoint } from "../../protocol/control/endpoints.ts";
import type { Telemetry } from "../../protocol/control/messages.ts";
import { messageOf } from "../../protocol/errors.ts";
import { formatIp } from "../../protocol/ip.ts";
import type { Log } from "../../protocol/log.ts";
import type { Path } from "../../protocol/stream.ts";
import { formatEndpoint } from "../../protocol/wireguard/endpoint.ts";
import type { Key } from "../../protocol/wireguard/settings.ts";
import { hostDevices } from "../machine/devices.ts";
import { DirectUpgrade } from "../packets/direct_upgrade.ts";
import { openPeer, openPeerParts, type Peer } from "../peer/open_peer.ts";
import { TrafficRates } from "../peer/traffic_rates.ts";
import type { RoleContext } from "../role.ts";
import { serveControl, tunnelSocketPath } from "./control_socket.ts";
import { keepWanted, openExits, searchFor, settle, untilDisposed } from "./exits.ts";
import { sessionStatus } from "./run_proxy.ts";
import { ClientSessions } from "./sessions.ts";
import type { UpConfig } from "./settings.ts";
import type { ClientStatus } from "./status.ts";
import { clientTelemetry } from "./telemetry.ts";
import { PacketMode } from "./tun/packet_mode.ts";
import { PacketWay, type StartDirect } from "./tun/packet_way.ts";
import { TunnelStats } from "./tun/stats.ts";
import { wishOf } from "./wish.ts";

const PROBE_EVERY_MS = 500;
const PROBE_TIMEOUT_MS = 1_200;
/** A new session must carry a probe within so long; its handshake is over by then. */
const PROVE_WITHIN_MS = 3_000;

/** Until the context's signal, or until it is asked to end. */
export async function runTun(config: UpConfig, given: RoleContext): Promise<void> {
  const ending = new AbortController();
  // Being asked to end by `down` is a stop like any other.
  const context = { ...given, signal: AbortSignal.any([given.signal, ending.signal]) };
  const { clock, random, log, signal } = context;
  const fault = Promise.withResolvers<never>();
  fault.promise.catch(() => {}); // heard below, unless the start fails first
  await using parts = await openPeerParts({ role: "client", region: config.home }, config, context);
  await using mode = await PacketMode.open({
    settings: { ...config, interfacePrefix: config.interface },
    supernodes: config.supernode.map(({ url }) => supernodeEndpoint(url, RELAY_PATH).target),
    privateKey: parts.local.privateKey as Key,
    context,
    devices: hostDevices,
    lookup: systemLookup,
    startDirect: config.direct ? directStarter(context) : undefined,
  });
  const sessions = new ClientSessions({
    ...parts,
    region: config.region,
    carries: "packets",
    relay: config.relay,
    control: () => peer.connection.control,
    way: () => peer.connection,
    openWay: (session) => mode.openWay(session),
  });
  const supernode = new ControlWay(() => peer.connection);
  await using exits = openExits({
    sessions,
    wish: () => ({ ...wishOf(config), carries: "packets", relay: config.relay, ...keptAddresses(mode) }),
    supernode,
    probe,
    probeEveryMs: config.probeEvery ?? PROBE_EVERY_MS,
    probeTimeoutMs: config.probeTimeout ?? PROBE_TIMEOUT_MS,
    failuresToDown: 1,
    proveWithinMs: PROVE_WITHIN_MS,
    onTake: (session) => {
      mode.take(session);
      sayReady(mode, session.exitPeerId, context);
    },
  }, context);
  const stats = new TunnelStats(() => mode.present, clock);
  await using peer = await openPeer({
    role: "client",
    region: config.home,
    settings: config,
    parts,
    handlers: sessions.handlers(() => exits.path),
    telemetry: (): Telemetry => ({ ...clientTelemetry(exits.path, rates), ...stats.telemetry }),
    locate: mode.locate,
    onOpen: () => {
      supernode.opened();
      void settle(sessions, exits.path, context);
    },
    onFault: fault.reject,
  }, context);
  const rates = new TrafficRates(stats.traffic, clock);
  const { control } = peer.connection;
  const exitsOfControl = { exits: exits.path, control, clock, random, log };
  await using _search = searchFor({ ...exitsOfControl, supernodes: config.supernode.length });
  await using _wanted = untilDisposed((signal) => keepWanted(exitsOfControl, signal));
  await using _stats = untilDisposed((signal) => stats.run(signal));
  await using _sleeps = untilDisposed((signal) => watchSleeps({ exits: exits.path, mode, clock, log }, signal));
  await using _control = await offerControl({
    config,
    exits: exits.path,
    mode,
    stats,
    control,
    context,
    end: () => ending.abort(),
  });
  context.check("exit", () => exits.path.present ? undefined : "There is no session with an exit");
  await Promise.race([aborted(signal), fault.promise]);
  await exits[Symbol.asyncDispose](); // while the supernode can still be told
}

function directStarter({ clock, random, log }: RoleContext): StartDirect {
  return (way, signal) => new DirectUpgrade({ ...way, clock, random, log }).run(signal);
}

/** From the first tunnel on. */
function sayReady(mode: PacketMode, exit: string, context: RoleContext): void {
  context.ready({
    addresses: { interface: mode.present?.interfaceName ?? "none" },
    words: { interface: "everything goes through" },
    note: `exit ${exit}, kill switch ${mode.isLocked ? "on" : "off"}`,
  });
}

/** The addresses of the present session, so that what is open keeps them at the next exit. */
function keptAddresses(mode: PacketMode): { addresses?: string[] } {
  const { addresses } = mode;
  return addresses.length > 0 ? { addresses } : {};
}

async function probe(path: Path, signal: AbortSignal): Promise<void> {
  if (!(path instanceof PacketWay)) throw new TypeError("The session must carry packets");
  await path.probe(signal);
}

/**
 * What a tunnel needs of the supernode is its relay, not its control stream. But when probes fail while the stream is down
 * too, it is likely the supernode that has gone, and no exit is to blame.
 */
class ControlWay implements SupernodeWay {
  readonly #connection: () => Peer["connection"];
  losses = 0;

  constructor(connection: () => Peer["connection"]) {
    this.#connection = connection;
  }

  get isUp(): boolean {
    return this.#connection().control.isOpen;
  }

  up(signal: AbortSignal): Promise<void> {
    return this.#connection().control.opened(signal);
  }

  opened(): void {
    this.losses++;
  }
}

const LOOK_MS = 1_000;
/** The wall clock goes on while the machine sleeps; a correction as large as this does no harm either. */
const SLEPT_MS = 5_000;

/** After a sleep of the machine the tunnel greets its peer anew and is probed, at once. */
async function watchSleeps(
  { exits, mode, clock, log }: {
    readonly exits: SessionSwitch;
    readonly mode: PacketMode;
    readonly clock: Clock;
    readonly log: Log;
  },
  signal: AbortSignal,
): Promise<void> {
  for (let awayMs = clock.wallNow() - clock.now(); !signal.aborted;) {
    await delay(clock, LOOK_MS, signal).catch(() => {});
    const nowAwayMs = clock.wallNow() - clock.now();
    if (signal.aborted || nowAwayMs - awayMs < SLEPT_MS) {
      awayMs = nowAwayMs;
      continue;
    }
    awayMs = nowAwayMs;
    log.info("The machine has slept: greeting the exit anew");
    await mode.present?.greetAnew().catch((error) =>
      log.debug("The exit was not greeted", { error: messageOf(error) })
    );
    exits.suspect();
  }
}

interface Offered {
  readonly config: UpConfig;
  readonly exits: SessionSwitch;
  readonly mode: PacketMode;
  readonly stats: TunnelStats;
  readonly control: Peer["connection"]["control"];
  readonly context: RoleContext;
  end(): void;
}

async function offerControl(offered: Offered): Promise<AsyncDisposable> {
  const { config, exits, context: { clock, log }, end } = offered;
  return await serveControl({
    path: await tunnelSocketPath(config.interface),
    clock,
    log,
    deeds: {
      status: () => statusOf(offered),
      async rotate(signal) {
        await exits.replace("asked", signal);
        return await statusOf(offered);
      },
      async down() {
        const status = await statusOf(offered);
        end();
        return status;
      },
    },
  });
}

async function statusOf({ exits, mode, stats, control }: Offered): Promise<ClientStatus> {
  const { present } = mode;
  await stats.refresh();
  const { way, interfaceName } = present ?? {};
  return {
    mode: "tun",
    ...sessionStatus(exits, control),
    locked: mode.isLocked,
    ...present && interfaceName !== undefined && {
      tunnel: {
        interface: interfaceName,
        addresses: present.addresses.map(formatIp),
        dns: present.nameServers.map(formatIp),
        mtu: present.offer.mtu,
        ...way && { way: way.kind, endpoint: formatEndpoint(way.at) },
        ...present.offer.terminatedBy && { terminatedBy: present.offer.terminatedBy.peerId },
        ...stats.handshakeAgeMs !== undefined && { handshakeAgeMs: stats.handshakeAgeMs },
        ...stats.traffic,
      },
    },
  };
}

/**
 * A client as a proxy, for which nobody has to be root: programs connect to it, and their streams leave at the exit.
 */

import type { SessionSwitch } from "../../net/session_switch.ts";
import { serveProxy } from "../../net/proxy.ts";
import { openSessionPath } from "../../net/session_path.ts";
import { tracedPath } from "../../net/traced_path.ts";
import { aborted } from "../../protocol/abort.ts";
import { messageOf } from "../../protocol/errors.ts";
import { formatTarget, type Hop } from "../../protocol/stream.ts";
import { ConfigError } from "../config.ts";
import { isLoopback, listenOn } from "../listening.ts";
import { openPeer, openPeerParts, type Peer, type PeerParts } from "../peer/open_peer.ts";
import { TrafficRates } from "../peer/traffic_rates.ts";
import type { RoleContext } from "../role.ts";
import { proxySocketPath, serveControl } from "./control_socket.ts";
import { searchExits } from "./exit_search.ts";
import { openExits, settle, streamsWay, untilDisposed } from "./exits.ts";
import { ClientSessions, UNKNOWN_REGION } from "./sessions.ts";
import type { UpConfig } from "./settings.ts";
import { type ClientStatus, sessionStatus } from "./status.ts";
import { clientTelemetry } from "./telemetry.ts";
import { wishOf } from "./wish.ts";

const PROBE_EVERY_MS = 5_000;
const PROBE_TIMEOUT_MS = 3_000;

/** Until the context's signal, or until it is asked to end. */
export async function runProxy(config: UpConfig, context: RoleContext): Promise<void> {
  const { signal, hardSignal, clock, random, log, metrics, tracing } = context;
  if (!isLoopback(config.listen) && !config.open) {
    throw new ConfigError("start client", [`others can reach ${formatTarget(config.listen)}, so give --open`]);
  }
  const fault = Promise.withResolvers<never>();
  fault.promise.catch(() => {}); // heard below, unless the start fails first
  const ending = Promise.withResolvers<void>();
  await using parts = await openPeerParts({ role: "client", region: config.home }, config, context);
  const sessions = streamSessions(config, context, { parts, connection: () => peer.connection });
  await using exits = openExits({
    sessions,
    wish: () => wishOf(config),
    supernode: streamsWay(sessions),
    probeEveryMs: config.probeEvery ?? PROBE_EVERY_MS,
    probeTimeoutMs: config.probeTimeout ?? PROBE_TIMEOUT_MS,
  }, context);
  await using peer = await openPeer({
    role: "client",
    region: config.home,
    settings: config,
    parts,
    handlers: sessions.handlers(() => exits.path),
    telemetry: () => clientTelemetry(exits.path, rates),
    onOpen: () => void settle(sessions, exits.path, context),
    onFault: fault.reject,
  }, context);
  const rates = new TrafficRates(peer.connection.traffic, clock);
  const path = tracedPath(exits.path, tracing, { name: "proxy.dial", facts: {} });
  using proxy = listenOn(config.listen, (listen) => serveProxy({ listen, path, clock, log, metrics }));
  const listen = formatTarget({ host: proxy.address.hostname, port: proxy.address.port });
  const { control } = peer.connection;
  const searching = { exits: exits.path, control, supernodes: config.supernode.length, clock, random, log };
  await using _search = untilDisposed((signal) => searchExits(searching, signal));
  await using _control = await offerControl(exits.path, { peer, listen, context, end: () => ending.resolve() });
  context.check("exit", () => exits.path.present ? undefined : "There is no session with an exit");
  context.ready({ addresses: { listen } });
  await Promise.race([aborted(signal), ending.promise, fault.promise]);
  await proxy.shutdown(hardSignal);
  await exits[Symbol.asyncDispose](); // while the supernode can still be told
}

/** Sessions that carry streams, through the supernode that the client is connected to. */
function streamSessions(
  { region, home }: UpConfig,
  { log, metrics }: RoleContext,
  { parts, connection }: { readonly parts: PeerParts; connection(): Peer["connection"] },
): ClientSessions {
  return new ClientSessions({
    ...parts,
    region,
    control: () => connection().control,
    way: connection,
    openWay: (session) =>
      openSessionPath({
        ...parts,
        log,
        metrics,
        session,
        open: (signal) => connection().open(signal),
        at: parts.identity.peerId,
        about: () => aboutClient(home, connection().linkRttMs),
      }),
  });
}

/** What the page `hello.culvert` tells of this client. */
function aboutClient(home: string, rttMs: number | undefined): Pick<Hop, "region" | "rttMs"> {
  return { ...(home !== UNKNOWN_REGION && { region: home }), ...(rttMs !== undefined && { rttMs }) };
}

interface Offered {
  readonly peer: Peer;
  readonly listen: string;
  readonly context: RoleContext;
  end(): void;
}

/** A proxy that cannot be asked is a proxy still. */
async function offerControl(
  exits: SessionSwitch,
  { peer, listen, context, end }: Offered,
): Promise<AsyncDisposable | undefined> {
  const { clock, log, stateDir } = context;
  const status = (): Promise<ClientStatus> =>
    Promise.resolve({ mode: "proxy", ...sessionStatus(exits, peer.connection.control), listen });
  try {
    return await serveControl({
      path: proxySocketPath(stateDir),
      clock,
      log,
      deeds: {
        status,
        async rotate(signal) {
          await exits.replace("asked", signal);
          return await status();
        },
        down() {
          end();
          return status();
        },
      },
    });
  } catch (error) {
    log.warn("`culvert client status`, `rotate` and `down` will not find this client", { error: messageOf(error) });
    return undefined;
  }
}

/**
 * The ports of this machine whose traffic leaves by a path: proxies that programs ask for targets, and ports that are
 * forwarded to one target. The settings that name them, alike for every role that has them, and what they open.
 *
 *   --listen 127.0.0.1:1080                          SOCKS5, SOCKS4a and HTTP
 *   --forward 127.0.0.1:8080=site.example:80         every connection there leads to the target
 *   --forward udp:127.0.0.1:5353=9.9.9.9:53          datagrams, each program with answers of its own
 */

import { z } from "zod";
import { type ProxyServer, serveProxy } from "../net/proxy.ts";
import { tracedPath } from "../net/traced_path.ts";
import { UdpForward } from "../net/udp_forward.ts";
import { CulvertError } from "../protocol/errors.ts";
import { formatTarget, parseTarget, type Path, type Target } from "../protocol/stream.ts";
import { ConfigError } from "./config.ts";
import { durationMs, listenAddress } from "./fields.ts";
import { isLoopback, listenOn } from "./listening.ts";
import type { RoleContext } from "./role.ts";

/** A port that leads to one target. */
export interface Forward {
  readonly transport: "tcp" | "udp";
  readonly listen: Target;
  readonly target: Target;
}

/** `[tcp:|udp:]host:port=host:port`; `:port` listens on every IPv4 address. */
export function parseForward(text: string): Forward | undefined {
  const match = /^(?:(tcp|udp):)?([^=]+)=([^=]+)$/.exec(text);
  if (!match) return undefined;
  const [, transport = "tcp", from, to] = match;
  const listen = parseTarget(from!.startsWith(":") ? `0.0.0.0${from}` : from!);
  const target = parseTarget(to!);
  return listen && target && target.port > 0 ? { transport: transport as "tcp" | "udp", listen, target } : undefined;
}

const FORWARD_RULE = "[udp:]host:port=target:port";

const forward = z.string().meta({ placeholder: "from=to", rule: FORWARD_RULE }).transform((text, context): Forward => {
  const value = parseForward(text);
  if (value) return value;
  context.issues.push({ code: "custom", message: FORWARD_RULE, input: text });
  return z.NEVER;
});

/** Who may come in, and how many. */
export const ingressFlags = {
  user: z.array(
    z.string().regex(/^[^:]+:.+$/, "name:password").meta({ placeholder: "name:password", secret: true }),
  ).default([]).describe("Who may come in. Without any, everyone may."),
  open: z.boolean().default(false).describe("Allow a port that others can reach and nobody needs a password for."),
  maxConnections: z.number().int().min(1).max(1_000_000).default(10_000)
    .describe("Connections open at once, on each port."),
  handshakeTimeout: durationMs("10s", { minMs: 10 }).describe("How long a program may take over its request."),
  dialTimeout: durationMs("30s", { minMs: 10 }).describe("How long a target may take to answer."),
};

/** The same, and the ports: several proxies, several forwards. */
export const localPortFlags = {
  listen: z.array(listenAddress()).optional()
    .describe("Where programs find a proxy. Given several times: as many proxies."),
  forward: z.array(forward).default([])
    .describe("A port that leads to one target. Where it is given and --listen is not, there is no proxy."),
  ...ingressFlags,
};

export type IngressSettings = z.output<z.ZodObject<typeof ingressFlags>>;
export interface LocalPortSettings extends IngressSettings {
  readonly listen: readonly Target[];
  readonly forward: readonly Forward[];
}

export interface LocalPorts extends AsyncDisposable {
  /** What listens → where, as the ready line tells it. */
  readonly addresses: Readonly<Record<string, string>>;
  /** Takes no more, and lets what is under way come to its end until the signal is aborted. */
  shutdown(signal: AbortSignal): Promise<void>;
}

/** Opens them all, or none. `action` is what cannot be done when a setting is wrong: "start proxy". */
export function openLocalPorts(
  settings: LocalPortSettings,
  path: Path,
  action: string,
  context: Pick<RoleContext, "clock" | "log" | "metrics" | "tracing">,
): LocalPorts {
  refuseOpenPorts(settings, action);
  using opened = new DisposableStack();
  const proxies: ProxyServer[] = [];
  const forwards: UdpForward[] = [];
  const addresses: Record<string, string> = {};
  const told = (name: string, at: Deno.NetAddr, suffix = "") => {
    const nth = Object.keys(addresses).filter((key) => key.split(" ")[0] === name).length;
    addresses[nth === 0 ? name : `${name} ${nth + 1}`] = formatTarget({ host: at.hostname, port: at.port }) + suffix;
  };
  for (const listen of settings.listen) {
    const proxy = opened.use(openIngress(settings, listen, path, undefined, context));
    proxies.push(proxy);
    told("listen", proxy.address);
  }
  for (const { transport, listen, target } of settings.forward) {
    if (transport === "tcp") {
      const proxy = opened.use(openIngress(settings, listen, path, target, context));
      proxies.push(proxy);
      told("forward", proxy.address, ` to ${formatTarget(target)}`);
    } else {
      const udp = opened.use(openUdp(listen, target, path, context));
      forwards.push(udp);
      told("udp", udp.address, ` to ${formatTarget(target)}`);
    }
  }
  const kept = opened.move();
  const ended = () => Promise.all([...proxies, ...forwards].map(({ closed }) => closed));
  return {
    addresses,
    async shutdown(signal) {
      for (const udp of forwards) udp.close();
      await Promise.all(proxies.map((proxy) => proxy.shutdown(signal)));
      await ended();
    },
    async [Symbol.asyncDispose]() {
      kept.dispose();
      await ended();
    },
  };
}

function openIngress(
  settings: IngressSettings,
  address: Target,
  path: Path,
  target: Target | undefined,
  { clock, log, metrics, tracing }: Pick<RoleContext, "clock" | "log" | "metrics" | "tracing">,
): ProxyServer {
  const traced = tracedPath(path, tracing, { name: "proxy.dial", facts: {} });
  return listenOn(address, (listen) =>
    serveProxy({
      ...{ listen, path: traced, clock, log, metrics },
      ...(target && { target }),
      ...(settings.user.length > 0 && !target && { auth: credentialsOf(settings.user) }),
      limits: {
        maxConnections: settings.maxConnections,
        handshakeTimeoutMs: settings.handshakeTimeout,
        dialTimeoutMs: settings.dialTimeout,
      },
    }));
}

function openUdp(
  address: Target,
  target: Target,
  path: Path,
  { clock, log }: Pick<RoleContext, "clock" | "log">,
): UdpForward {
  if (!path.datagrams) {
    throw new CulvertError(
      "unsupported",
      `Cannot forward UDP to ${formatTarget(target)}: the path carries no datagrams`,
    );
  }
  return listenOn(address, (listen) => new UdpForward({ listen, target, path, clock, log }));
}

/** What is forwarded is open to whoever reaches the port: no password is asked there. */
function refuseOpenPorts({ listen, forward, user, open }: LocalPortSettings, action: string): void {
  const proxies = user.length > 0 ? [] : listen;
  const reachable = [...proxies, ...forward.map(({ listen }) => listen)].filter((address) => !isLoopback(address));
  if (open || reachable.length === 0) return;
  const asked = proxies.some((address) => !isLoopback(address))
    ? "give --user name:password, or --open"
    : "give --open";
  throw new ConfigError(action, [`others can reach ${reachable.map(formatTarget).join(", ")}, so ${asked}`]);
}

function credentialsOf(users: readonly string[]): Record<string, string> {
  return Object.fromEntries(users.map((user) => {
    const colon = user.indexOf(":");
    return [user.slice(0, colon), user.slice(colon + 1)];
  }));
}

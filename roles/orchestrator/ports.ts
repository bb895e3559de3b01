/**
 * The two ports of an orchestrator: nodes' WebSockets and HTTP on one, clients' programs on the other.
 */

import { remoteAddressOf } from "../../edge/remote_address.ts";
import { Problem } from "../../edge/problem.ts";
import { serveProxy } from "../../net/proxy.ts";
import { WebPort } from "../../net/web_port.ts";
import { DialError } from "../../protocol/errors.ts";
import { NODE_PATH } from "../../protocol/sharing/node_messages.ts";
import { formatTarget, type Path } from "../../protocol/stream.ts";
import { listenOn } from "../listening.ts";
import type { RoleContext } from "../role.ts";
import { followTls, type TlsPair } from "../tls_files.ts";
import { tracedFetch } from "../traced_fetch.ts";
import type { Orchestrator, OrchestratorConfig } from "./open.ts";

export interface Ports extends AsyncDisposable {
  readonly addresses: Readonly<Record<string, string>>;
  /** Takes nobody new, and lets what is under way end until the signal aborts. */
  shutdown(signal: AbortSignal): Promise<void>;
}

/** Clients of the whole orchestrator. */
const MAX_CLIENT_CONNECTIONS = 50_000;
/** 128 KiB each. */
const MAX_UDP_ASSOCIATIONS = 2048;
const MAX_BODY_BYTES = 256 * 1024;
/** Behind a proxy all have its address. */
const MAX_STRANGERS = 4096;

interface Served {
  readonly tls: TlsPair | undefined;
  readonly orchestrator: Orchestrator;
}

export function openPorts(config: OrchestratorConfig, served: Served, context: RoleContext): Ports {
  const web = openWebPort(config, served, context);
  const { clock, log } = context;
  const { tls, orchestrator } = served;
  const { network } = orchestrator;
  const following = tls && followTls(config, { clock, log, current: tls, onChange: (pair) => web.renewTls(pair) });
  const proxy = listenOn(config.proxyListen, (listen) =>
    serveProxy({
      ...context,
      listen,
      path: nowhere,
      auth: network.auth,
      limits: { maxConnections: MAX_CLIENT_CONNECTIONS, maxUdpAssociations: MAX_UDP_ASSOCIATIONS },
    }));
  const addresses = { listen: formatTarget(hostOf(web.address)), proxy: formatTarget(hostOf(proxy.address)) };
  orchestrator.places.opened({ listen: addresses.listen, proxyPort: proxy.address.port });
  return {
    addresses,
    async shutdown(signal) {
      await Promise.all([proxy.shutdown(signal), network.nodes.drain(signal)]);
    },
    async [Symbol.asyncDispose]() {
      following?.[Symbol.dispose]();
      proxy[Symbol.dispose]();
      await proxy.closed;
      web.close();
      await web.closed();
    },
  };
}

function openWebPort(config: OrchestratorConfig, { tls, orchestrator }: Served, context: RoleContext): WebPort {
  const { clock, log, metrics, tracing } = context;
  const { app, network } = orchestrator;
  return listenOn(config.listen, (listen) =>
    new WebPort({
      ...{ listen, tls, clock, log, metrics },
      limits: {
        maxBodyBytes: MAX_BODY_BYTES,
        ...config.behindProxy && { maxStrangersPerAddress: MAX_STRANGERS },
      },
      onWebsocket(call) {
        if (call.path !== NODE_PATH) return { status: 404 };
        const headers = config.behindProxy ? call.request()?.headers : undefined;
        const remoteAddress = headers ? remoteAddressOf(headers, call.remoteAddress, config) : call.remoteAddress;
        return network.nodes.onWebsocket({ path: call.path, remoteAddress: remoteAddress ?? call.remoteAddress });
      },
      answerUnfit: (why, detail) => new Problem(why === "too_large" ? why : "bad_request", detail).response(),
      fetch: tracedFetch(tracing, (request, remoteAddress) =>
        app.fetch(request, { remoteAddress: remoteAddressOf(request.headers, remoteAddress, config) })),
    }));
}

/** Every client has a path of its own. */
const nowhere: Path = {
  dial: () => Promise.reject(new DialError("denied", "Cannot dial without an account")),
  close() {},
  [Symbol.dispose]() {},
};

function hostOf({ hostname, port }: Deno.NetAddr): { readonly host: string; readonly port: number } {
  return { host: hostname, port };
}

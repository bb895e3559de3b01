/**
 * What every `main_x.ts` does with its app: serves it until the process is asked to end. Of the environment it reads
 *
 *   CULVERT_LISTEN        host:port; 127.0.0.1:8000 unless given
 *   PORT                  in its place, as hosts say it: that port of every address
 *   CULVERT_KV            a path, an https URL or ":memory:"; left out, Deno's own
 *   CULVERT_BEHIND_PROXY  1 if all requests come through a reverse proxy of yours
 *
 *   SIGINT, SIGTERM ─▶ no more connections, goodbye to whoever listens ─▶ what is under way ends, for 5 s at most ─▶ end
 *
 * Deno's own store is the app's on Deno Deploy, and elsewhere a file in Deno's folder that all programs under one `deno.json`
 * share: it takes no permission, where a path takes those to read and to write.
 *
 * There is no `export default`, for `deno serve`: a program cannot tell whether that or `deno run` has started it.
 */

import { openKv } from "../kv/open.ts";
import { clockOf, delay } from "../protocol/clock.ts";
import { CulvertError, messageOf } from "../protocol/errors.ts";
import { formatTarget, parseTarget, type Target } from "../protocol/stream.ts";
import { consoleLog } from "./console_log.ts";
import { remoteAddressOf } from "./remote_address.ts";

const GRACE_MS = 5000;
const ALL_ADDRESSES = "0.0.0.0";
const USUAL_ADDRESS = "127.0.0.1:8000";

export interface ServedApp {
  fetch(request: Request, from: { readonly remoteAddress: string | undefined }): Response | Promise<Response>;
}

export interface ServeMainOptions {
  readonly app: ServedApp;
  /** Says goodbye to those who would not go by themselves, and writes down what is still to be written. */
  drain?(): void | PromiseLike<void>;
}

/** What a variable says; what is empty is not there. */
export function env(name: string): string | undefined {
  return Deno.env.get(name) || undefined;
}

export async function openMainKv(): Promise<Deno.Kv> {
  return await openKv(env("CULVERT_KV"));
}

/** Serves from now on; ends the process when it is asked to. */
export function serveMain({ app, drain }: ServeMainOptions): void {
  const behindProxy = env("CULVERT_BEHIND_PROXY") === "1";
  const server = serveOn(listenAddress(), (request, { remoteAddr }) => {
    const connected = "hostname" in remoteAddr ? remoteAddr.hostname : undefined;
    return app.fetch(request, { remoteAddress: remoteAddressOf(request.headers, connected, { behindProxy }) });
  });
  const end = async () => {
    const goodbye = Promise.try(() => drain?.()).catch((error) => {
      consoleLog(console).error("Cannot say goodbye", { error: messageOf(error) });
    });
    await Promise.race([Promise.all([server.shutdown(), goodbye]), delay(clockOf(globalThis), GRACE_MS)]);
    Deno.exit(0);
  };
  const signals: Deno.Signal[] = Deno.build.os === "windows" ? ["SIGINT"] : ["SIGINT", "SIGTERM"];
  for (const signal of signals) Deno.addSignalListener(signal, () => void end());
}

function serveOn(address: Target, handler: Deno.ServeHandler<Deno.NetAddr>): Deno.HttpServer<Deno.NetAddr> {
  try {
    const onListen = ({ hostname: host, port }: Deno.NetAddr) => {
      consoleLog(console).info("Serving", { listen: formatTarget({ host, port }) });
    };
    return Deno.serve({ hostname: address.host, port: address.port, onListen }, handler);
  } catch (error) {
    const reason = messageOf(error);
    throw new CulvertError("cannot_listen", `Cannot serve on ${formatTarget(address)}: ${reason}`, { cause: error });
  }
}

function listenAddress(): Target {
  const port = env("PORT");
  const text = env("CULVERT_LISTEN") ?? (port === undefined ? USUAL_ADDRESS : `${ALL_ADDRESSES}:${port}`);
  const address = parseTarget(text);
  if (address) return address;
  throw new CulvertError(
    "invalid_option",
    `Cannot serve: CULVERT_LISTEN must be host:port, and PORT a port, got ${JSON.stringify(text)}`,
  );
}

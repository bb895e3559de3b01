/**
 * What Node gives: stands in the place of `../runtime.ts` in the npm package, with the same names. It runs in Deno as well,
 * by Deno's own `node:` modules, and is tested there too.
 */

import { open, watch } from "node:fs/promises";
import { networkInterfaces } from "node:os";
import { rootCertificates } from "node:tls";
import type { DirectoryEvent, DirectoryWatch, TrustingFetch } from "../runtime_types.ts";
import { ClosedHandleError } from "./node_socket.ts";

export type * from "../runtime_types.ts";
export { datagramSocket, listenDatagrams, openDatagramSocket } from "./datagrams.ts";
export { connectTcp, listenTcp, listenTls, openTcpListener, startTls } from "./tcp.ts";

/** The addresses of this machine's interfaces, as text. */
export function interfaceAddresses(): readonly string[] {
  return Object.values(networkInterfaces()).flatMap((all) => all?.map(({ address }) => address) ?? []);
}

/** Node's own `fetch` trusts nobody else, so this is undici's, which is what Node's is made of. */
export function trustingFetch(caCerts: readonly string[]): TrustingFetch {
  const opening = openAgent(caCerts);
  opening.catch(() => {});
  return {
    async fetch(request) {
      const { fetch, agent } = await opening;
      const { url, method, headers, redirect, signal } = request;
      const body = request.body ? new Uint8Array(await request.arrayBuffer()) : null;
      const answer = await fetch(url, { method, headers: [...headers], redirect, signal, body, dispatcher: agent });
      return answer as unknown as Response;
    },
    [Symbol.dispose]: () => void opening.then(({ agent }) => agent.destroy(), () => {}),
  };
}

async function openAgent(caCerts: readonly string[]) {
  const { Agent, fetch } = await import("undici");
  return { fetch, agent: new Agent({ connect: { ca: [...rootCertificates, ...caCerts] } }) };
}

/** The beginning of a file, of at most so many bytes. */
export async function readFileStart(path: string, maxBytes: number): Promise<Uint8Array> {
  const file = await open(path);
  try {
    const bytes = new Uint8Array(maxBytes);
    let length = 0;
    while (length < maxBytes) {
      const { bytesRead } = await file.read(bytes, length, maxBytes - length, null);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    return bytes.subarray(0, length);
  } finally {
    await file.close();
  }
}

export function watchDirectory(path: string): DirectoryWatch {
  const stop = new AbortController();
  return {
    async *[Symbol.asyncIterator](): AsyncGenerator<DirectoryEvent> {
      try {
        for await (const { eventType } of watch(path, { signal: stop.signal })) yield { kind: eventType };
      } catch (error) {
        if (!stop.signal.aborted) throw error;
      }
    },
    close: () => stop.abort(),
  };
}

/** What was used, or closed a second time, had been closed. */
export function isClosedError(error: unknown): boolean {
  return error instanceof ClosedHandleError;
}

/** Connections that are over before they are accepted do not show here. */
export function isEarlyEnd(_error: unknown): boolean {
  return false;
}

/** Node's permission model does not let this through. */
export function isNotPermitted(error: unknown): boolean {
  return codeOf(error) === "ERR_ACCESS_DENIED";
}

/** Another program has the port. */
export function isPortTaken(error: unknown): boolean {
  return codeOf(error) === "EADDRINUSE";
}

/** Nobody listens where a datagram or a connection went. */
export function isRefused(error: unknown): boolean {
  return codeOf(error) === "ECONNREFUSED";
}

function codeOf(error: unknown): unknown {
  return (error as { readonly code?: unknown } | undefined)?.code;
}

/**
 * Where a request comes from, for limits per address. Behind a reverse proxy every connection comes from the proxy,
 * which says in X-Forwarded-For whom it has it from. Only the last entry is the proxy's word; those before it are what
 * the client claimed. Without a proxy of ours the header is the client's own invention and is not looked at.
 */

export interface RemoteAddressOptions {
  /** Whether all requests come through a reverse proxy of ours. */
  readonly behindProxy: boolean;
}

/** The address of whoever asks; `connected` is that of the connection's other end. */
export function remoteAddressOf(
  headers: Pick<Headers, "get">,
  connected: string | undefined,
  { behindProxy }: RemoteAddressOptions,
): string | undefined {
  if (!behindProxy) return connected;
  return headers.get("x-forwarded-for")?.split(",").at(-1)?.trim() || connected;
}

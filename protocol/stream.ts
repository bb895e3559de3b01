/**
 * The one interface everything meets at: a Stream, and a Path that opens one to a Target.
 *
 *   program → ingress → Path … Path → egress → target
 *
 * A transport is two halves: `open(url, options): Promise<Path>` near the program, and `serve(options, onward: Path)`
 * far from it. What dials a Path neither knows nor cares where the Stream comes out. Design §3.
 */

/** Where a Stream should lead. `host` is a DNS name or an IP literal without brackets. */
export interface Target {
  /** A DNS name, or an IP literal without brackets. */
  readonly host: string;
  /** The port. */
  readonly port: number;
}

/**
 * A two-way byte stream. `Deno.TcpConn` and `Deno.TlsConn` are Streams as they stand, so the fast case has no wrapper.
 *
 * - `read` fills the start of `into` and gives the number of bytes, or null once the other side has ended its half.
 * - `write` may take fewer bytes than offered; `writeAll` loops. The bytes belong to the callee until it settles.
 * - `closeWrite` ends our half only; `close` ends both at once, makes pending calls settle, and may be repeated. Deno's
 *   own sockets keep all of this but the last: there, a second `close` throws, and `using` or `closeQuietly` does not.
 * - After a failure (reset, lost link) `read` and `write` reject; end of file is never reported for a cut stream.
 */
export interface Stream extends Disposable {
  /** Fills the start of `into`; gives the number of bytes, or null at the end. */
  read(into: Uint8Array): Promise<number | null>;
  /** Takes bytes, perhaps not all; gives how many. */
  write(from: Uint8Array): Promise<number>;
  /** Ends our half only. */
  closeWrite(): Promise<void>;
  /** Ends both halves at once. May be repeated. */
  close(): void;
  /** Ends both at once as a failure, where the transport can tell the far side so; otherwise use `close`. */
  abort?(): void;
}

/** A datagram's length within the buffer that `receive` was given, and the address it came from. */
export interface Received {
  /** Bytes of the datagram. */
  readonly length: number;
  /** Who sent it. */
  readonly from: Target;
}

/** The unreliable counterpart of a Stream: one local socket, many remote addresses. */
export interface Datagrams extends Disposable {
  /** Sends one datagram. Loss is silent; a refusal by policy rejects with a DialError. */
  send(datagram: Uint8Array, to: Target): Promise<void>;
  /** The next datagram, cut to `into`, or null once closed. */
  receive(into: Uint8Array): Promise<Received | null>;
  /** Closes the socket; a pending `receive` gives null. */
  close(): void;
}

/** One place a Stream passes on its way, as told to the page `hello.culvert`. Never filled in for any other host. */
export interface Hop {
  /** What the place is, such as "tunnel client". */
  readonly name: string;
  /** Where, such as an address; shown to people. */
  readonly at: string;
  /** The region it is in, where regions matter. */
  readonly region?: string;
  /** The round trip to the next hop, when it has been measured. */
  readonly rttMs?: number;
  /** How what leaves here for the next hop is sealed, in a few words. */
  readonly seal?: string;
}

/** How a dial is made. */
export interface DialOptions {
  /** Aborting it gives the dial up. */
  readonly signal?: AbortSignal;
  /** The hops so far; see `Hop`. A Path that leaves the machine adds its own. */
  readonly trail?: readonly Hop[];
}

/** A way to reach hosts. */
export interface Path extends Disposable {
  /** Opens a Stream to the target; settles only when the far side has really connected, or rejects with a DialError. */
  dial(target: Target, options?: DialOptions): Promise<Stream>;
  /** Opens a datagram socket at the far side. Absent where the transport carries none. */
  datagrams?(options?: DialOptions): Promise<Datagrams>;
  /** Closes the Path and every Stream opened through it. */
  close(): void;
  /** Settles when a Path that was closed has said its goodbyes. Absent where there are none to say. */
  closed?(): Promise<void>;
  /** Why nothing can be dialled at the moment, as far as is known without trying. Absent where that is never known. */
  readonly problem?: string | undefined;
  /** What it has sent since it was opened, as far as it sees packets. Absent where it never does. */
  readonly packets?: PacketCounts | undefined;
}

/** Packets sent, and how many of these were sent again: what was lost on the way, and a little that was only late. */
export interface PacketCounts {
  /** Packets that were sent. */
  readonly sent: number;
  /** Packets that were sent again. */
  readonly resent: number;
}

/** Writes every byte of `from`. */
export async function writeAll(stream: Pick<Stream, "write">, from: Uint8Array): Promise<void> {
  let written = 0;
  while (written < from.length) {
    written += await stream.write(written === 0 ? from : from.subarray(written));
  }
}

/** Fills `into` completely; false if the stream ended first. */
export async function readFull(stream: Pick<Stream, "read">, into: Uint8Array): Promise<boolean> {
  let filled = 0;
  while (filled < into.length) {
    const count = await stream.read(filled === 0 ? into : into.subarray(filled));
    if (count === null) return false;
    filled += count;
  }
  return true;
}

/** `host:port`, with brackets around an IPv6 literal. */
export function formatTarget(target: Target): string {
  return target.host.includes(":") ? `[${target.host}]:${target.port}` : `${target.host}:${target.port}`;
}

/** Reads `host:port` or `[v6]:port`; undefined when it is neither. `defaultPort` stands in for a missing port. */
export function parseTarget(text: string, defaultPort?: number): Target | undefined {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([^\s:\[\]\/@]+))(?::(\d{1,5}))?$/.exec(text);
  if (!match) return undefined;
  const port = match[3] === undefined ? defaultPort : Number(match[3]);
  if (port === undefined || port > 65535) return undefined;
  return { host: (match[1] ?? match[2])!, port };
}

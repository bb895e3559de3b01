/**
 * The UDP port of a WireGuard device, for the few datagrams of ours that go through it: an interface, so that tests can play
 * a network, and the real one, a raw socket beside the device's.
 */

import { openLibc } from "../../native/libc.ts";
import { RawUdp } from "../../native/raw_udp.ts";
import type { IpAddress } from "../../protocol/ip.ts";
import type { Endpoint } from "../../protocol/wireguard/settings.ts";

export interface ProbePort extends AsyncDisposable {
  readonly port: number;
  /** False when it could not go. An endpoint that something came from is answered from the address that was asked. */
  send(bytes: Uint8Array, to: Endpoint): boolean;
  /** The address of ours from which something would go there; undefined when there is no route. */
  sourceTo(to: Pick<Endpoint, "address">): IpAddress | undefined;
}

export interface ProbePortOptions {
  readonly port: number;
  /** As the device's own datagrams are marked, so that the same routes are theirs. */
  readonly mark?: number;
  /** Datagrams that begin with none of WireGuard's bytes. */
  onDatagram(bytes: Uint8Array, from: Endpoint): void;
}

export type OpenProbePort = (options: ProbePortOptions) => ProbePort;

/** Throws a SysError where the capabilities are missing. */
export function openProbePort({ port, mark = 0, onDatagram }: ProbePortOptions): ProbePort {
  using stack = new DisposableStack();
  const libc = stack.use(openLibc());
  const raw = new RawUdp(libc, { port, mark, onDatagram: ({ bytes, from }) => onDatagram(bytes, from) });
  const opened = stack.move();
  return {
    port,
    send: (bytes, to) => raw.send(bytes, to),
    sourceTo: (to) => raw.sources.to(to),
    async [Symbol.asyncDispose]() {
      await raw[Symbol.asyncDispose]();
      opened.dispose();
    },
  };
}

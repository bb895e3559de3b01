/**
 * The loopback side of a bridge: a UDP port that talks with one QUIC endpoint, and seems to it to be as many hosts as there
 * are clients. Each has an address of its own within 127.64.0.0/10, all of which are this machine's:
 *
 *   client 5:  127.64.0.5:port ⇄ 127.0.0.1:quicPort
 */

import { CulvertError } from "../../protocol/errors.ts";
import type { CarrierOptions } from "../../protocol/carrier_options.ts";
import type { PacketCarrier, PacketPlace } from "../../protocol/packet_carrier.ts";
import type { Slab } from "../../protocol/slab.ts";
import { Errno, SysError } from "../errno.ts";
import { openUdpCarrier } from "../packets/udp_carrier.ts";
import { UdpPlace } from "../packets/udp_place.ts";
import { nameWord, putBytes, UdpEndpoint } from "../udp_endpoint.ts";
import { AF_INET } from "../udp_options.ts";

/** 127.64.0.0, as a number. */
const FIRST_ADDRESS = 0x7f400000;
/** Beyond anything that fits memory. */
export const MOST_CLIENTS = 1 << 20;

export class LocalCarrier {
  readonly carrier: PacketCarrier;
  readonly port: number;
  readonly #quicPort: number;

  constructor(options: Pick<CarrierOptions, "clock" | "random" | "log" | "metrics"> & { readonly quicPort: number }) {
    const { quicPort, ...more } = options;
    // Clients have several addresses, so it listens on all; what is not from the QUIC endpoint is not taken.
    const carrier = {
      kind: "udp",
      listen: { host: "0.0.0.0" },
      peer: { host: "127.0.0.1", ports: quicPort },
      ...more,
    } as const;
    this.carrier = openKeptTo("lo", carrier) ?? openUdpCarrier(carrier);
    this.port = this.carrier.localPorts[0]!;
    this.#quicPort = quicPort;
  }

  /** The QUIC endpoint as it sees us at our own address. */
  place(): PacketPlace {
    return this.#place([127, 0, 0, 1]);
  }

  /** The QUIC endpoint as it sees client `index`. */
  placeOf(index: number): PacketPlace {
    if (!(index >= 1 && index < MOST_CLIENTS)) {
      throw new CulvertError("busy", `Cannot take a client: there must be fewer than ${MOST_CLIENTS}`);
    }
    return this.#place(bytesOf(FIRST_ADDRESS + index));
  }

  /** Which client the QUIC endpoint has sent to; 0 when none. */
  indexOf(place: PacketPlace): number {
    if (!(place instanceof UdpPlace)) return 0;
    // Ours, behind family, port and address; in the network's order.
    const word = place.endpoint.words[2]!;
    const address = (word << 24 | (word & 0xff00) << 8 | word >>> 8 & 0xff00 | word >>> 24) >>> 0;
    const index = address - FIRST_ADDRESS;
    return index > 0 && index < MOST_CLIENTS ? index : 0;
  }

  /** What QUIC calls client `index`. */
  addressOf(index: number): string {
    return bytesOf(FIRST_ADDRESS + index).join(".");
  }

  #place(ours: readonly number[]): PacketPlace {
    const words = new Uint32Array(3);
    words[0] = nameWord(AF_INET, this.#quicPort);
    putBytes(words, 1, Uint8Array.of(127, 0, 0, 1));
    putBytes(words, 2, Uint8Array.from(ours));
    const { sender } = this.carrier.place("127.0.0.1", this.#quicPort) as UdpPlace;
    return new UdpPlace(new UdpEndpoint(words), sender, undefined);
  }
}

/** Copies a packet over to another carrier. */
export function passOn(slab: Slab, start: number, end: number, to: PacketCarrier, place: PacketPlace): void {
  const length = end - start;
  const at = to.reserve(length);
  to.slab.bytes.set(slab.bytes.subarray(start, end), at);
  to.commit(length, place);
}

/** To other hosts its port is as closed as any. Undefined where that takes a privilege: on Linux before 5.7. */
function openKeptTo(name: string, options: CarrierOptions): PacketCarrier | undefined {
  try {
    return openUdpCarrier({ ...options, interface: name });
  } catch (error) {
    if (error instanceof SysError && error.errno === Errno.EPERM) return undefined;
    throw error;
  }
}

function bytesOf(address: number): number[] {
  return [address >>> 24, address >>> 16 & 0xff, address >>> 8 & 0xff, address & 0xff];
}

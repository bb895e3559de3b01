/**
 * A packet in words, for `dump`: its ends, what its TCP or UDP header says, whether our key opens it, and the segments of
 * KCP in it.
 *
 *   in  203.0.113.5:45000 > 10.0.0.2:51321 TCP PA seq 1 ack 1 win 65535, 1350 bytes, opened: KCP 7f3a01b2 PUSH sn 12 una 9 (1298)
 */

import { formatIp } from "../../protocol/ip.ts";
import {
  COMMAND_AT,
  KCP_HEADER_BYTES,
  KcpCommand,
  LENGTH_AT,
  SN_AT,
  UNA_AT,
  WINDOW_AT,
} from "../../protocol/kcp/segment.ts";
import {
  IPV4_ADDRESSES,
  IPV4_BYTES,
  IPV4_PROTOCOL,
  IPV6_ADDRESSES,
  IPV6_BYTES,
  UDP,
  UDP_BYTES,
} from "../../protocol/packet/headers.ts";
import { FEC_HEAD_BYTES, FecType, fecTypeOf } from "../../protocol/packet_layer/fec_head.ts";
import type { PacketSeal } from "../../protocol/packet_seal.ts";
import type { Slab } from "../../protocol/slab.ts";
import { formatFlags, RST } from "../../protocol/tcp_look/flags.ts";
import { SegmentReader } from "../../protocol/tcp_look/segment_reader.ts";

export interface PacketStory {
  readonly protocol: "tcp" | "udp";
  readonly from: string;
  readonly to: string;
  readonly fromPort: number;
  readonly toPort: number;
  readonly payloadBytes: number;
  readonly tcp?: { readonly flags: string; readonly seq: number; readonly ack: number; readonly window: number };
  readonly isReset: boolean;
  /** Absent where there is no key, or no payload. */
  readonly isOpened?: boolean;
  readonly fec?: "data" | "parity";
  readonly segments?: readonly SegmentStory[];
}

export interface SegmentStory {
  readonly conv: number;
  readonly command: string;
  readonly sn: number;
  readonly una: number;
  readonly window: number;
  readonly bytes: number;
}

/** No datagram has room for more. */
const MOST_SEGMENTS = 64;
const COMMANDS: ReadonlyMap<number, string> = new Map(
  Object.entries(KcpCommand).map(([name, command]) => [command, name]),
);

/** Undefined for what is neither TCP nor UDP, or not whole. Opens the payload where it lies. */
export function readPacket(slab: Slab, start: number, end: number, seal?: PacketSeal): PacketStory | undefined {
  const reader = new SegmentReader();
  if (reader.read(slab, start, end)) {
    const { sourcePort, destinationPort, sequence, acknowledgement, window, flags, payloadAt, payloadEnd } = reader;
    return {
      protocol: "tcp",
      ...endsOf(slab, reader.addressesAt, reader.isV6),
      fromPort: sourcePort,
      toPort: destinationPort,
      payloadBytes: payloadEnd - payloadAt,
      tcp: { flags: formatFlags(flags), seq: sequence, ack: acknowledgement, window },
      isReset: (flags & RST) !== 0,
      ...readPayload(slab, payloadAt, payloadEnd, seal),
    };
  }
  return readUdp(slab, start, end, seal);
}

function readUdp(slab: Slab, start: number, end: number, seal?: PacketSeal): PacketStory | undefined {
  const { bytes, view } = slab;
  const isV6 = end - start >= IPV6_BYTES && bytes[start]! >> 4 === 6 && bytes[start + 6] === UDP;
  const isV4 = end - start >= IPV4_BYTES && bytes[start]! >> 4 === 4 && bytes[start + IPV4_PROTOCOL] === UDP;
  if (!isV4 && !isV6) return undefined;
  const udpAt = start + (isV6 ? IPV6_BYTES : (bytes[start]! & 15) * 4);
  if (udpAt < start + IPV4_BYTES || udpAt + UDP_BYTES > end) return undefined;
  const length = view.getUint16(udpAt + 4);
  if (length < UDP_BYTES) return undefined;
  // A joined datagram says the length of all of it, or none.
  const payloadEnd = Math.min(end, udpAt + length);
  return {
    protocol: "udp",
    ...endsOf(slab, start + (isV6 ? IPV6_ADDRESSES : IPV4_ADDRESSES), isV6),
    fromPort: view.getUint16(udpAt),
    toPort: view.getUint16(udpAt + 2),
    payloadBytes: payloadEnd - udpAt - UDP_BYTES,
    isReset: false,
    ...readPayload(slab, udpAt + UDP_BYTES, payloadEnd, seal),
  };
}

function endsOf({ bytes }: Slab, at: number, isV6: boolean): { readonly from: string; readonly to: string } {
  const length = isV6 ? 16 : 4;
  const text = (at: number) => formatIp(bytes.slice(at, at + length));
  return { from: text(at), to: text(at + length) };
}

function readPayload(
  slab: Slab,
  start: number,
  end: number,
  seal?: PacketSeal,
): Pick<PacketStory, "isOpened" | "fec" | "segments"> {
  if (!seal || start >= end) return {};
  if (!seal.open(slab, start, end)) return { isOpened: false };
  const bodyAt = start + seal.headBytes, bodyEnd = end - seal.tailBytes;
  const type = fecTypeOf(slab, bodyAt, bodyEnd);
  if (type === FecType.parity) return { isOpened: true, fec: "parity" };
  const segments = readSegments(slab, type === undefined ? bodyAt : bodyAt + FEC_HEAD_BYTES, bodyEnd);
  return { isOpened: true, segments, ...type !== undefined && { fec: "data" } };
}

/** Up to the first that is none. */
function readSegments({ view }: Slab, start: number, end: number): SegmentStory[] {
  const segments: SegmentStory[] = [];
  for (let at = start; at + KCP_HEADER_BYTES <= end && segments.length < MOST_SEGMENTS;) {
    const command = COMMANDS.get(view.getUint8(at + COMMAND_AT));
    const bytes = view.getUint32(at + LENGTH_AT, true);
    if (command === undefined || bytes > end - at - KCP_HEADER_BYTES) break;
    segments.push({
      conv: view.getUint32(at, true),
      command,
      sn: view.getUint32(at + SN_AT, true),
      una: view.getUint32(at + UNA_AT, true),
      window: view.getUint16(at + WINDOW_AT, true),
      bytes,
    });
    at += KCP_HEADER_BYTES + bytes;
  }
  return segments;
}

export function packetText(story: PacketStory): string {
  const { from, fromPort, to, toPort, protocol, tcp, payloadBytes } = story;
  const end = (host: string, port: number) => `${host.includes(":") ? `[${host}]` : host}:${port}`;
  const header = tcp ? ` ${tcp.flags} seq ${tcp.seq} ack ${tcp.ack} win ${tcp.window}` : "";
  const ends = `${end(from, fromPort)} > ${end(to, toPort)}`;
  return `${ends} ${protocol.toUpperCase()}${header}, ${payloadBytes} bytes${contentText(story)}`;
}

function contentText({ isOpened, fec, segments = [] }: PacketStory): string {
  if (isOpened === undefined) return "";
  if (!isOpened) return ", not sealed with this key";
  const parts = segments.map(({ conv, command, sn, una, window, bytes }) =>
    `KCP ${conv.toString(16)} ${command} sn ${sn} una ${una} wnd ${window}${bytes > 0 ? ` (${bytes})` : ""}`
  );
  return `, opened: ${[...fec ? [`FEC ${fec}`] : [], ...parts].join(" | ") || "no segments of KCP"}`;
}

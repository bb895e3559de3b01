/**
 * The far end as `ping` and `doctor` know it: where it is, how it is spoken to, and whether it answers.
 *
 *   await using far = await openFarEnd(settings, context); await far.ask(signal)      { roundTripMs, payloadBytes? }
 *
 * A server of KCP answers the first segment of a conversation; one of our own dialect a hello, for which each time a session
 * begins and ends. Who is asked under a wrong key hears nothing, or, of our own dialect, that it is wrong.
 */

import { z } from "zod";
import { openCulvertLink } from "../../net/kcp/culvert_connection.ts";
import { findMtu, KcpPinger } from "../../net/kcp/kcp_pinger.ts";
import { openPacketSeal } from "../../net/kcp/packet_seal.ts";
import { openCarrier } from "../../net/packets/open_carrier.ts";
import { systemLookup } from "../../net/resolve.ts";
import { openSealCrypto } from "../../net/seal_crypto.ts";
import type { CarrierOptions } from "../../protocol/carrier_options.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { formatIp, parseIp } from "../../protocol/ip.ts";
import type { Metrics } from "../../protocol/metrics.ts";
import type { PacketCarrier } from "../../protocol/packet_carrier.ts";
import { cryptNames } from "../../protocol/packet_layer/crypt.ts";
import { gfkKey, kcptunKey, paqetKey } from "../../protocol/packet_layer/packet_keys.ts";
import type { PacketSeal } from "../../protocol/packet_seal.ts";
import { parsePorts, type PortSpan, portSpan } from "../../protocol/port_span.ts";
import { parseCredential } from "../../protocol/sealed_packets/credentials.ts";
import type { LookName } from "../../protocol/tcp_look/look_name.ts";
import { secret } from "../fields.ts";
import type { RoleContext } from "../role.ts";

export const dialectNames = ["culvert", "kcptun", "paqet", "gfk-go"] as const;
export type DialectName = typeof dialectNames[number];

/** A host, and a port or several in a row. */
export interface FarPlace {
  readonly host: string;
  readonly ports: PortSpan;
}

/** `host:port`, `host:45000-45007` or `[v6]:port`; undefined for anything else. */
export function parseFarPlace(text: string): FarPlace | undefined {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]\s/]+)):([\d-]+)$/.exec(text);
  const ports = match && parsePorts(match[3]!);
  if (!ports || (match[1] !== undefined && parseIp(match[1])?.length !== 16)) return undefined;
  return { host: (match[1] ?? match[2])!, ports };
}

export const PLACE_RULE = "host:port, or host:first-last for several ports";

export function farPlace(): z.ZodType<FarPlace> {
  return z.string().meta({ placeholder: "host:port", rule: PLACE_RULE }).transform((text, context): FarPlace => {
    const place = parseFarPlace(text);
    if (place) return place;
    context.issues.push({ code: "custom", message: PLACE_RULE, input: text });
    return z.NEVER;
  });
}

/** How packets are spoken, alike for all tools. */
export const speakingShape = {
  carrier: z.enum(["udp", "raw"]).default("udp").describe("What packets look like: UDP, or TCP of no connection."),
  dialect: z.enum(dialectNames).default("culvert").describe("Whose KCP it is."),
  key: secret().optional().describe("The credential of our own dialect, or the passphrase. Best given as CULVERT_KEY."),
  crypt: z.enum(cryptNames).default("aes").describe("kcptun, paqet: how packets are hidden."),
  interface: z.string().min(1).optional().describe("raw: the interface that packets go by.").meta({
    defaultText: "what the routes say",
    placeholder: "name",
  }),
} as const;

const speaking = z.object(speakingShape);
export type Speaking = z.output<typeof speaking>;

export interface Answer {
  readonly roundTripMs: number;
  /** What the server's clock is ahead of ours; only our own dialect knows. */
  readonly clockBehindMs?: number;
}

export interface FarEnd extends AsyncDisposable {
  /** Its address, once looked up. */
  readonly address: string;
  readonly ports: PortSpan;
  /** Undefined when nothing comes in time; rejects when it is said why not. */
  ask(options: { readonly payloadBytes?: number; readonly timeoutMs: number; readonly signal: AbortSignal }): Promise<
    Answer | undefined
  >;
  /** The longest payload of a carrier that gets there; absent where it cannot be told. */
  findMtu?(signal: AbortSignal): Promise<number | undefined>;
  /** Datagrams that came back and that our key does not open. */
  strangePackets(): number;
  /** What a packet is longer than its payload. */
  readonly overheadBytes: number;
}

/** What the tools use of a role's context. */
export interface ToolContext extends Pick<RoleContext, "clock" | "random" | "log" | "signal" | "json" | "print"> {
  readonly metrics: Metrics;
}

/** What nearly every path takes, and none that goes far takes more. */
export const USUAL_PATH_BYTES = 1500;

export async function openFarEnd(place: FarPlace, settings: Speaking, context: ToolContext): Promise<FarEnd> {
  const address = await addressOf(place.host);
  const open = () => openCarrier(carrierOptions({ host: address, ports: place.ports }, settings, context));
  if (settings.dialect === "culvert") return await openCulvertEnd({ ...place, host: address }, settings, open, context);
  const { clock, random } = context;
  await using stack = new AsyncDisposableStack();
  const seal = stack.use(await openSeal(settings, context));
  const carrier = stack.use(await open());
  const pinger = new KcpPinger({
    carrier,
    host: address,
    port: place.ports.first,
    seal,
    clock,
    random,
  });
  const held = stack.move();
  return {
    address,
    ports: place.ports,
    overheadBytes: overheadOf(address, settings),
    ask: ({ payloadBytes, timeoutMs, signal }) =>
      pinger.ping({ timeoutMs, signal, ...payloadBytes !== undefined && { payloadBytes } }),
    findMtu: (signal) => findMtu(pinger, { signal }),
    strangePackets: () => pinger.strangePackets,
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}

async function openCulvertEnd(
  { host, ports }: FarPlace,
  settings: Speaking,
  open: () => Promise<PacketCarrier>,
  { clock, random, log }: ToolContext,
): Promise<FarEnd> {
  const credential = parseCredential(requireKey(settings));
  const crypto = await openSealCrypto();
  return {
    address: host,
    ports,
    overheadBytes: overheadOf(host, settings),
    async ask({ timeoutMs, signal }) {
      let sentMs = clock.now(), clockBehindMs = 0;
      const limit = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
      const link = await openCulvertLink({
        tools: { crypto, random },
        credential,
        clockBehindMs: 0,
        hopMs: 0,
        settings: { congestion: () => "none" },
        host,
        ports,
        async openCarrier() {
          const carrier = await open();
          sentMs = clock.now();
          return carrier;
        },
        closeCarrier: (carrier) => void carrier[Symbol.asyncDispose](),
        clock,
        random,
        log,
        onClock: (behindMs) => clockBehindMs = behindMs,
      }, limit).catch((error) => {
        signal.throwIfAborted();
        if (limit.aborted || isSilence(error)) return undefined;
        throw error;
      });
      if (!link) return undefined;
      const roundTripMs = clock.now() - sentMs;
      link.close();
      return { roundTripMs, clockBehindMs };
    },
    strangePackets: () => 0,
    [Symbol.asyncDispose]: () => Promise.resolve(crypto[Symbol.dispose]()),
  };
}

/** Nothing came, as against being told something. */
function isSilence(error: unknown): boolean {
  return error instanceof CulvertError && (error.code === "timeout" || error.code === "path_down");
}

/** The seal of a dialect other than ours. */
export async function openSeal(settings: Speaking, { random }: Pick<ToolContext, "random">): Promise<
  PacketSeal & Disposable
> {
  const { dialect } = settings;
  const crypt = dialect === "gfk-go" ? "aes" : settings.crypt;
  const needsKey = crypt !== "none" && crypt !== "null";
  const passphrase = needsKey ? requireKey(settings) : settings.key ?? "";
  const derive = dialect === "paqet" ? paqetKey : dialect === "gfk-go" ? gfkKey : kcptunKey;
  return await openPacketSeal({ crypt, key: await derive(passphrase), random });
}

function requireKey({ key, dialect }: Speaking): string {
  if (key !== undefined) return key;
  const what = dialect === "culvert" ? "the credential that the server gave this client" : "the passphrase";
  throw new CulvertError("bad_option", `Cannot speak to the far end: --key must be ${what}, and was not given`);
}

const LOOKS: Readonly<Record<DialectName, LookName>> = {
  "culvert": "ours",
  "kcptun": "ours",
  "paqet": "paqet",
  "gfk-go": "gfk-go",
};

const TCP_BYTES: Readonly<Record<LookName, number>> = { "ours": 32, "paqet": 32, "gfk-py": 32, "gfk-go": 20 };
const UDP_BYTES = 8;

/** The headers before a payload. What a carrier has room for is less where it knows of a narrow path. */
function overheadOf(address: string, { carrier, dialect }: Speaking): number {
  const ipBytes = address.includes(":") ? 40 : 20;
  return ipBytes + (carrier === "udp" ? UDP_BYTES : TCP_BYTES[LOOKS[dialect]]);
}

function carrierOptions(peer: FarPlace, settings: Speaking, context: ToolContext): CarrierOptions {
  const { clock, random, log, metrics } = context;
  const tools = { clock, random, log, metrics };
  if (settings.carrier === "udp") return { kind: "udp", peer, ...tools };
  return {
    kind: "raw",
    peer,
    look: LOOKS[settings.dialect],
    ...settings.interface !== undefined && { interface: settings.interface },
    ...tools,
  };
}

/** The first that the system knows. */
export async function addressOf(host: string): Promise<string> {
  if (parseIp(host)) return host;
  const [address] = await systemLookup(host).catch(() => []);
  if (address) return formatIp(address);
  throw new CulvertError("no_such_host", `Cannot look up ${host}: the name must have an address, and has none`);
}

/** As `portSpan`, of what was given. */
export function firstPort({ ports }: FarPlace): number {
  return portSpan(ports).first;
}

/**
 * `culvert admin export-config`: a stock WireGuard app comes into the network.
 *
 *   the device's keys → its certificate, if the network is closed → its session, if that lives → else a new one → the file
 *
 * Asking again gives the same, for as long as the session lives. The device's key is the same for good, so that what was
 * scanned once stays the device that it was.
 */

import type { z } from "zod";
import { hostPrimitives } from "../../net/host_primitives.ts";
import type { Certificate } from "../../protocol/certificate.ts";
import { refusalOfPeerKeys } from "../../protocol/control/peer_keys.ts";
import type { RelayMode } from "../../protocol/control/packets.ts";
import { CulvertError } from "../../protocol/errors.ts";
import type { PeerKeys } from "../../protocol/fields.ts";
import { ConfigError } from "../config.ts";
import { install, readCertificate } from "../enroll.ts";
import type { RoleContext } from "../role.ts";
import { doneAnswer, MAX_LISTED } from "../admin_api/schema.ts";
import {
  offerAnswer,
  sessionsAnswer,
  type SessionView,
  type staticSessionBody,
  statusAnswer,
} from "../supernode/admin_schema.ts";
import { shellWord } from "../private_file.ts";
import type { AdminConnection } from "./connection.ts";
import { commentedConfig, exportedConfig, type ExportedOffer } from "./exported_config.ts";
import { type Asked, KeptPeer, type KeptSession } from "./kept_peers.ts";

const ACTION = "run admin export-config";
const DAY_MS = 86_400_000;
export const DEFAULT_DAYS = 30;

export interface ExportWish {
  /** What the device is called here. */
  readonly peer: string;
  readonly region?: string | undefined;
  readonly exit?: string | undefined;
  readonly relay?: RelayMode | undefined;
  readonly days?: number | undefined;
  /** A new session, whether or not there is one. */
  readonly renew: boolean;
  /** A certificate's text, or a file with it. */
  readonly cert?: string | undefined;
  /** Where it is to go: repeated in what the administrator is told to type. */
  readonly qr?: boolean | undefined;
  readonly out?: string | undefined;
}

export interface Exported {
  readonly peerId: string;
  readonly sessionId: string;
  readonly expiresAtMs: number;
  /** The file for people, with what it is in comments. */
  readonly text: string;
  /** The same without comments, for a QR code. */
  readonly config: string;
}

type ExportContext = Pick<RoleContext, "stateDir" | "clock" | "random" | "signal">;

export class ConfigExport {
  readonly #wish: ExportWish;
  readonly #device: KeptPeer;
  readonly #connection: AdminConnection;
  readonly #context: ExportContext;

  private constructor(wish: ExportWish, device: KeptPeer, connection: AdminConnection, context: ExportContext) {
    this.#wish = wish;
    this.#device = device;
    this.#connection = connection;
    this.#context = context;
  }

  /** For a device that is known by now, with its keys; nothing is asked for yet. */
  static async begin(wish: ExportWish, connection: AdminConnection, context: ExportContext): Promise<ConfigExport> {
    const device = await KeptPeer.open(context.stateDir, wish.peer, { ...context, primitives: hostPrimitives() });
    return new ConfigExport(wish, device, connection, context);
  }

  /** As it stands in every file of the device, and in none of another. */
  get privateKeyLine(): string {
    return `PrivateKey = ${this.#device.identity.secrets().wireguardKey.toBase64()}\n`;
  }

  async run(): Promise<Exported> {
    const { supernodeId, networkId } = await this.#connection.call({ path: "/v1/status", answer: statusAnswer });
    const certificate = await this.#certificate(networkId);
    using lock = await this.#device.lock();
    const present = await this.#present();
    const kept = await this.#device.session();
    const living = this.#wish.renew ? undefined : kept && livingOf(kept, present);
    if (kept && living) {
      this.#requireAsAsked(kept.asked);
      return this.#exported(kept, living, supernodeId);
    }
    const session = await this.#ask(certificate, { kept, supernodeId });
    await this.#device.keepSession(session, lock);
    for (const { sessionId } of present) await this.#end(sessionId);
    return this.#exported(session, session.offer, supernodeId);
  }

  /** That of the device in this network; undefined in an open one. */
  async #certificate(networkId: string | undefined): Promise<Certificate | undefined> {
    const { cert } = this.#wish;
    const { clock } = this.#context;
    if (cert !== undefined) {
      const given = await readCertificate(cert);
      if (given.networkId !== networkId) {
        const network = networkId === undefined ? "left out: this network is open" : `of the network ${networkId}`;
        throw new ConfigError(ACTION, [`--cert must be ${network}`]);
      }
      await install(given, { ...this.#context, primitives: hostPrimitives(), stateDir: this.#device.path });
    }
    if (networkId === undefined) return undefined;
    const certificate = await this.#device.certificateOf(networkId);
    if (!certificate) throw this.#noCertificate("none");
    if (!certificate.roles.includes("client")) throw this.#noCertificate(`one for ${certificate.roles.join(", ")}`);
    if (certificate.notAfterMs <= clock.wallNow()) throw this.#noCertificate("one that has ended");
    return certificate;
  }

  #noCertificate(got: string): CulvertError {
    const { peer, days = DEFAULT_DAYS } = this.#wish;
    const { peerId } = this.#device.identity;
    const [file, rest] = [`${peer}.cert`, wordsOf(this.#wish)];
    return new CulvertError(
      "no_certificate",
      `Cannot ${ACTION}: the network is closed, and ${peer} must have a certificate in it as client, got ${got}. ` +
        `Where the network's key is: culvert enroll --network-key network.key --peer ${peerId} --role client ` +
        `--days ${Math.ceil(days)} --out ${file} -- then here: culvert admin export-config${rest} --cert ${file}`,
    );
  }

  /** The device's sessions that nobody is connected for. */
  async #present(): Promise<SessionView[]> {
    const { peerId } = this.#device.identity;
    const path = `/v1/sessions?peer=${peerId}&limit=${MAX_LISTED}`;
    const { sessions } = await this.#connection.call({ path, answer: sessionsAnswer });
    return sessions.filter(({ isStatic, clientPeerId, state }) =>
      isStatic && clientPeerId === peerId && state !== "ended"
    );
  }

  #requireAsAsked(before: Asked): void {
    const { peer } = this.#wish;
    const problems = (["region", "exit", "relay", "days"] as const).flatMap((name) => {
      const [now, then] = [this.#wish[name], before[name]];
      if (now === undefined || now === then) return [];
      return [`--${name} must be as it was asked for, ${then ?? "left out"}, got ${now}`];
    });
    if (problems.length === 0) return;
    throw new ConfigError(ACTION, [...problems, `--renew must be given to have another session for ${peer}`]);
  }

  async #ask(
    certificate: Certificate | undefined,
    { kept, supernodeId }: { readonly kept: KeptSession | undefined; readonly supernodeId: string },
  ): Promise<KeptSession> {
    const asked = this.#asked(kept?.asked);
    const { region, exit, relay, days } = asked;
    const addresses = kept?.offer.packets?.addresses;
    const body: z.input<typeof staticSessionBody> = {
      keys: this.#device.keys(certificate),
      wish: { ...given({ region, relay, addresses }) },
      ...given({ exitPeerId: exit }),
      days: this.#within(certificate, days ?? DEFAULT_DAYS),
    };
    const { offer } = await this.#connection.call({
      method: "POST",
      path: "/v1/static-sessions",
      body,
      answer: offerAnswer,
    });
    this.#requireSound(offer, { exit, relay, supernodeId });
    return { asked, offer, peerId: this.#device.identity.peerId };
  }

  /** What is left out is as it was before. */
  #asked(before: Asked = {}): Asked {
    const { region, exit, relay, days } = this.#wish;
    const isElsewhere = region !== undefined || exit !== undefined;
    const place = isElsewhere ? { region, exit } : { region: before.region, exit: before.exit };
    return given({ ...place, relay: relay ?? before.relay, days: days ?? before.days });
  }

  /** No exit serves a device beyond its certificate. */
  #within(certificate: Certificate | undefined, days: number): number {
    if (!certificate) return days;
    return Math.min(days, (certificate.notAfterMs - this.#context.clock.wallNow()) / DAY_MS);
  }

  /** The keys in the file are those whose packets the device will believe. */
  #requireSound(
    { exit, packets }: KeptSession["offer"],
    asked: { readonly exit: string | undefined; readonly relay: RelayMode | undefined; readonly supernodeId: string },
  ): void {
    const isTerminated = asked.relay === "terminate";
    const isExit = asked.exit === undefined || asked.exit === exit.peerId;
    const by = packets?.terminatedBy;
    const isRelay = isTerminated ? by?.peerId === asked.supernodeId && this.#isGenuine(by, "supernode") : !by;
    if (packets && isExit && isRelay && this.#isGenuine(exit, "exit")) return;
    throw new CulvertError("bad_answer", `Cannot ${ACTION}: the supernode has granted what was not asked for`);
  }

  #isGenuine(keys: PeerKeys, role: "exit" | "supernode"): boolean {
    const check = { role, wallMs: this.#context.clock.wallNow(), primitives: hostPrimitives() };
    return refusalOfPeerKeys(keys, check) === undefined;
  }

  async #end(sessionId: string): Promise<void> {
    try {
      await this.#connection.call({ method: "DELETE", path: `/v1/sessions/${sessionId}`, answer: doneAnswer });
    } catch (error) {
      // It has ended meanwhile.
      if (!(error instanceof CulvertError) || error.code !== "not_found") throw error;
    }
  }

  #exported(
    { offer: kept }: KeptSession,
    { sessionId, expiresAtMs }: Pick<SessionView, "sessionId" | "expiresAtMs">,
    supernodeId: string,
  ): Exported {
    const { peerId } = this.#device.identity;
    const offer = kept as ExportedOffer;
    const config = exportedConfig(this.#device.identity, offer);
    const made = { name: this.#device.name, peerId, sessionId, supernodeId, expiresAtMs };
    return { peerId, sessionId, expiresAtMs, config, text: commentedConfig(config, offer, made) };
  }
}

/**
 * The session as it is now, if it still serves the device. One whose tunnel ends at the supernode may be at another exit
 * under another id, which is nothing to the device: it has the same addresses.
 */
function livingOf({ offer }: KeptSession, present: readonly SessionView[]): SessionView | undefined {
  const same = present.find(({ sessionId }) => sessionId === offer.sessionId);
  if (same || !offer.packets?.terminatedBy) return same;
  const addresses = offer.packets.addresses.join();
  return present.find((each) => each.relay === "terminate" && each.addresses?.join() === addresses);
}

/** The flags that ask for the same again. */
function wordsOf({ peer, region, exit, relay, days, renew, qr, out }: ExportWish): string {
  const flags = Object.entries(given({ peer, region, exit, relay, days, out }));
  const words = flags.map(([name, value]) => ` --${name} ${shellWord(String(value))}`);
  return [...words, ...renew ? [" --renew"] : [], ...qr ? [" --qr"] : []].join("");
}

/** Without what was left out. */
function given<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]?: Exclude<T[K], undefined> };
}

/**
 * What a load generator was told on its command line, each value checked as it is asked for.
 */

import { parseArgs } from "@std/cli/parse-args";
import type { SupernodeAddress } from "../protocol/control/commands.ts";
import { isCryptName } from "../protocol/packet_layer/crypt.ts";
import { parseTarget, type Target } from "../protocol/stream.ts";
import type { WireGuardCrypto } from "../protocol/wireguard/crypto.ts";
import { parseSupernode } from "../roles/peer/settings.ts";
import type { InitiatorsOptions } from "./load/initiators.ts";
import type { AnnounceLoad } from "./load/tracker.ts";
import type { TransferDirection } from "./load/transfer.ts";
import type { TransportEnd } from "./load/transport.ts";

export class Flags {
  readonly #values: Record<string, unknown>;

  constructor(args: readonly string[]) {
    this.#values = parseArgs(args, {
      string: [
        "proxy",
        "target",
        "to",
        "key",
        "private-keys",
        "supernode",
        "direction",
        "url",
        "a",
        "b",
        "dialect",
        "carrier",
        "crypt",
        "host",
        "listen",
        "credential",
        "login",
        "other-login",
        "kv",
        "database",
        "card",
        "file",
        "place",
        "folder",
      ],
    });
  }

  has(name: string): boolean {
    return this.#values[name] !== undefined;
  }

  target(name: string): Target {
    const target = parseTarget(String(this.#values[name]));
    if (!target) throw new Error(`Cannot load: --${name} must be host:port, got ${this.#values[name]}`);
    return target;
  }

  transport(): TransportEnd {
    const carrier = this.text("carrier") === "raw" ? "raw" : "udp";
    const crypt = this.text("crypt");
    if (!isCryptName(crypt)) throw new Error(`Cannot load: --crypt must be one of kcptun's, got ${crypt}`);
    const where = { host: this.text("host"), port: this.count("port"), target: this.target("target") };
    return { dialect: this.text("dialect"), carrier, crypt, ...where };
  }

  targets(name: string): Target[] {
    return this.text(name).split(",").map((each) => parseTarget(each)!);
  }

  text(name: string): string {
    return String(this.#values[name]);
  }

  /** Undefined when there is to be none. */
  proxy(): Target | undefined {
    return this.text("proxy") === "direct" ? undefined : this.target("proxy");
  }

  login(): string | undefined {
    return this.has("login") ? this.text("login") : undefined;
  }

  direction(): TransferDirection {
    const direction = this.text("direction");
    if (direction === "down" || direction === "up") return direction;
    throw new Error(`Cannot load: --direction must be down or up, got ${direction}`);
  }

  supernode(): SupernodeAddress {
    const supernode = parseSupernode(String(this.#values.supernode));
    if (!supernode) {
      throw new Error(`Cannot load: --supernode must be a URL with a peer id, got ${this.#values.supernode}`);
    }
    return supernode;
  }

  ends(): { proxy: Target; target: Target } {
    return { proxy: this.target("proxy"), target: this.target("target") };
  }

  announces(): AnnounceLoad {
    return { target: this.target("target"), peers: this.count("peers"), connections: this.count("connections") };
  }

  /** Keys are base64, the private ones a line each. */
  async initiators(suite: WireGuardCrypto): Promise<InitiatorsOptions> {
    const lines = (await Deno.readTextFile(String(this.#values["private-keys"]))).trim().split("\n");
    return {
      crypto: suite,
      target: this.target("target"),
      targetKey: Uint8Array.fromBase64(String(this.#values.key)),
      privateKeys: lines.map((line) => Uint8Array.fromBase64(line)),
    };
  }

  count(name: string): number {
    const count = Number(this.#values[name]);
    if (!Number.isInteger(count) || count < 0) {
      throw new Error(`Cannot load: --${name} must be a whole number, got ${this.#values[name]}`);
    }
    return count;
  }
}

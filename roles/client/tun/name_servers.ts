/**
 * The exit's name servers in resolvconf, where that is installed, under a name of ours. One change after another, so that
 * the last session's are those that stay.
 */

import { messageOf } from "../../../protocol/errors.ts";
import { equalIp, type IpAddress } from "../../../protocol/ip.ts";
import type { Log } from "../../../protocol/log.ts";
import { dnsNameOf, findResolvconf, setDns } from "../../machine/dns.ts";
import type { Journal } from "../../machine/journal.ts";

export class NameServers {
  readonly #resolvconf: string;
  readonly #name: string;
  readonly #log: Log;
  #wanted: readonly IpAddress[] = [];
  #changing: Promise<void> = Promise.resolve();

  private constructor(resolvconf: string, name: string, log: Log) {
    this.#resolvconf = resolvconf;
    this.#name = name;
    this.#log = log;
  }

  /** Undefined where there is no resolvconf. */
  static async open(
    interfaceName: string,
    { journal, log }: { readonly journal: Journal; readonly log: Log },
  ): Promise<NameServers | undefined> {
    const resolvconf = findResolvconf();
    if (resolvconf === undefined) return undefined;
    const name = await dnsNameOf(interfaceName);
    await journal.record({ kind: "dns", name });
    return new NameServers(resolvconf, name, log);
  }

  set(servers: readonly IpAddress[]): void {
    const isSame = servers.length === this.#wanted.length &&
      servers.every((server, at) => equalIp(server, this.#wanted[at]!));
    if (isSame) return;
    this.#wanted = servers;
    this.#changing = this.#changing.then(() => this.#change(servers));
  }

  /** Settles when what was set last is set. */
  async settled(): Promise<void> {
    await this.#changing;
  }

  async #change(dnsServers: readonly IpAddress[]): Promise<void> {
    if (dnsServers !== this.#wanted) return;
    try {
      await setDns(this.#resolvconf, this.#name, { dnsServers: [...dnsServers], dnsSearchDomains: [] });
    } catch (error) {
      this.#log.error("The exit's name servers could not be set; questions are sent to them by the firewall", {
        error: messageOf(error),
      });
    }
  }
}

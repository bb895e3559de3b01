/**
 * A role's place in a closed network: the network's public key, and this machine's certificate in it, which is read
 * again while the role runs, so that a renewed one (`culvert enroll --install`) needs no restart.
 *
 * A certificate that does not do is refused here already, at the start and when it is renewed, with what is wrong with
 * it: others would only refuse it later.
 */

import { type Certificate, encodeCertificate, networkIdOf, verifyCertificate } from "../protocol/certificate.ts";
import type { ClosedNetwork } from "../protocol/control/auth.ts";
import { CulvertError } from "../protocol/errors.ts";
import type { Bytes, Primitives } from "../protocol/primitives.ts";
import { publicKey } from "./fields.ts";
import { loadCertificates } from "./identity_store.ts";
import { LOOK_EVERY_MS, repeat } from "./repeating.ts";
import type { RoleContext } from "./role.ts";
import type { StateDirectory } from "./state.ts";

/** One name at every role; `--network-key` is the secret one, which only `culvert enroll` is ever given. */
export const networkFlags = {
  networkPublicKey: publicKey().optional()
    .describe("The public key of a closed network, as culvert enroll shows it; without one the network is open."),
};

/** As what a machine belongs to the network. */
export interface Place {
  readonly peerId: string;
  readonly role: string;
  /** Left out where it does not matter. */
  readonly region?: string;
}

export interface MembershipOptions extends Pick<RoleContext, "clock" | "log" | "metrics"> {
  readonly state: StateDirectory;
  readonly place: Place;
  readonly primitives: Primitives;
}

export class Membership implements Disposable {
  readonly network: ClosedNetwork;
  /** Called when there is another certificate. */
  onRenewed: () => void = () => {};
  readonly #options: MembershipOptions;
  readonly #following: Disposable;
  readonly #endsAt;
  #text: string;

  /** Throws `no_certificate` or `wrong_certificate`. */
  static async join(networkPublicKey: Bytes, options: MembershipOptions): Promise<Membership> {
    return new Membership(networkPublicKey, await readCertificate(networkPublicKey, options), options);
  }

  private constructor(networkPublicKey: Bytes, certificate: Certificate, options: MembershipOptions) {
    const { clock, log, metrics } = options;
    this.network = { networkPublicKey };
    this.#options = options;
    this.#endsAt = metrics.gauge("network_certificate_ends_seconds", "When our certificate ends, since 1970");
    this.#text = this.#take(certificate);
    this.#following = repeat({
      clock,
      everyMs: LOOK_EVERY_MS,
      look: (signal) => this.#look(signal),
      onProblem: (error) => log.warn("The certificate for the network is of no use: the one before stays", { error }),
    });
  }

  /** The certificate as it is now. */
  readonly certificate = (): string => this.#text;

  [Symbol.dispose](): void {
    this.#following[Symbol.dispose]();
  }

  async #look(signal: AbortSignal): Promise<void> {
    const certificate = await readCertificate(this.network.networkPublicKey, this.#options);
    if (signal.aborted || encodeCertificate(certificate) === this.#text) return;
    this.#text = this.#take(certificate);
    this.#options.log.info("The certificate for the network was renewed", { serial: certificate.serial });
    this.onRenewed();
  }

  #take(certificate: Certificate): string {
    this.#endsAt.set(certificate.notAfterMs / 1000);
    return encodeCertificate(certificate);
  }
}

async function readCertificate(
  networkPublicKey: Uint8Array,
  { state, place, primitives, clock }: MembershipOptions,
): Promise<Certificate> {
  const networkId = networkIdOf(networkPublicKey, primitives);
  const certificate = (await loadCertificates(state)).find((each) => each.networkId === networkId);
  const { peerId, role, region } = place;
  const needed = `${state.path} must hold a certificate of the network ${networkId} for ${peerId} as ${role}` +
    (region === undefined ? "" : ` in ${region}`);
  if (!certificate) {
    throw new CulvertError("no_certificate", `Cannot join the network: ${needed}, got none; see culvert enroll`);
  }
  const check = { ...place, networkPublicKey, nowMs: clock.wallNow(), primitives };
  const verdict = verifyCertificate(encodeCertificate(certificate), check);
  if (verdict.ok) return certificate;
  throw new CulvertError(
    "wrong_certificate",
    `Cannot join the network: ${needed}, got one that will not do: ${verdict.reason}`,
  );
}

/**
 * What IPQualityScore says of an address, by its proxy detection API.
 *
 *   GET https://ipqualityscore.com/api/json/ip/<key>/<address>?strictness=0
 *   → {"success":true,"fraud_score":0…100,"connection_type":"Residential","proxy":false,"vpn":false,"tor":false, …}
 *
 * A node is a proxy: that it is one is not held against it, only the score is. Each look counts against the plan's quota, so it
 * is to be used behind `KeptAnswers`. The key is in the URL, which therefore nobody may log.
 * https://www.ipqualityscore.com/documentation/proxy-detection-api/overview
 */

import { CulvertError } from "../../../protocol/errors.ts";
import { formatIp, type IpAddress } from "../../../protocol/ip.ts";
import { readIpqsAnswer } from "../../../protocol/sharing/ipqs_answer.ts";
import type { AddressRisk, IpQualityProvider } from "./ip_quality.ts";

export interface IpqsOptions {
  readonly key: string;
  readonly fetch: typeof fetch;
  /** Default https://ipqualityscore.com. */
  readonly baseUrl?: string;
  /** 0 to 3; higher finds more and accuses more wrongly. Default 0. */
  readonly strictness?: number;
}

const MAX_ANSWER_BYTES = 64 * 1024;

export class Ipqs implements IpQualityProvider {
  readonly name = "ipqs";
  readonly #options: IpqsOptions;

  constructor(options: IpqsOptions) {
    if (!/^[A-Za-z0-9]{8,128}$/.test(options.key)) {
      throw new CulvertError("bad_option", "Cannot ask IPQualityScore: its key must be 8 to 128 letters and digits");
    }
    this.#options = options;
  }

  async look(address: IpAddress, signal: AbortSignal): Promise<AddressRisk> {
    const { key, baseUrl = "https://ipqualityscore.com", strictness = 0 } = this.#options;
    const url = new URL(`/api/json/ip/${key}/${encodeURIComponent(formatIp(address))}`, baseUrl);
    url.searchParams.set("strictness", `${strictness}`);
    url.searchParams.set("allow_public_access_points", "true");
    const response = await this.#fetch(url, signal);
    const text = await textOf(response);
    if (!response.ok) throw new CulvertError("bad_answer", `IPQualityScore answered ${response.status}`);
    const answer = readIpqsAnswer(text);
    if (!answer) throw new CulvertError("bad_answer", "IPQualityScore answered what is not understood");
    if (!answer.success) throw new CulvertError("refused", `IPQualityScore refuses: ${answer.message ?? "no reason"}`);
    const { fraud_score, connection_type } = answer;
    const isHosting = connection_type === undefined ? undefined : /^data ?cent(er|re)$/i.test(connection_type);
    return { risk: fraud_score / 100, isHosting };
  }

  async #fetch(url: URL, signal: AbortSignal): Promise<Response> {
    try {
      return await this.#options.fetch(url, { signal, redirect: "error", headers: { Accept: "application/json" } });
    } catch {
      signal.throwIfAborted();
      throw new CulvertError("unreachable", "Cannot reach IPQualityScore"); // the cause may name the URL
    }
  }
}

/** Never more than an answer can be. */
async function textOf({ body }: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const bytes of body ?? []) {
    text += decoder.decode(bytes, { stream: true });
    if (text.length > MAX_ANSWER_BYTES) throw new CulvertError("too_large", "IPQualityScore says too much");
  }
  return text + decoder.decode();
}

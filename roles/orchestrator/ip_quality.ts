/**
 * How an orchestrator finds out what is thought of its nodes' addresses: the flags that say so, and what they open.
 *
 *   --ip-ranges file     ─▶ RangeList ┐
 *   --ipqs-key-file file ─▶ Ipqs, kept┴─▶ IpQuality ─▶ QualityDesk's `riskOf`
 */

import { IpQuality, type IpQualityProvider } from "../../net/sharing/ip_quality/ip_quality.ts";
import { Ipqs } from "../../net/sharing/ip_quality/ipqs.ts";
import { KeptAnswers } from "../../net/sharing/ip_quality/kept_answers.ts";
import { RangeList } from "../../net/sharing/ip_quality/range_list.ts";
import { messageOf } from "../../protocol/errors.ts";
import { ConfigError } from "../config.ts";
import type { RoleContext } from "../role.ts";
import type { OrchestratorSettings } from "./settings.ts";

/** Each look is one of the plan's, and homes change slowly. */
const KEEP_MS = 7 * 86_400_000;

export type IpQualitySettings = Pick<OrchestratorSettings, "ipRanges" | "ipqsKeyFile">;

/** Undefined when there is nobody to ask. `fetch` is how IPQualityScore is reached. */
export async function openIpQuality(
  { ipRanges, ipqsKeyFile }: IpQualitySettings,
  { fetch, ...context }: Pick<RoleContext, "clock" | "log" | "metrics"> & { readonly fetch: typeof globalThis.fetch },
): Promise<IpQuality | undefined> {
  const providers: IpQualityProvider[] = [];
  try {
    if (ipRanges !== undefined) providers.push(await RangeList.load(ipRanges));
    if (ipqsKeyFile !== undefined) {
      const key = (await Deno.readTextFile(ipqsKeyFile)).trim();
      providers.push(new KeptAnswers(new Ipqs({ key, fetch }), { ...context, keepMs: KEEP_MS }));
    }
  } catch (error) {
    throw new ConfigError("start orchestrator", [`--ip-ranges or --ipqs-key-file is of no use. ${messageOf(error)}`]);
  }
  return providers.length === 0 ? undefined : new IpQuality({ ...context, providers });
}

/**
 * How several paths act as one: the settings that say so, alike for every role that has them.
 *
 *   --combine split --weight 9 --weight 1 [--sticky]
 */

import { z } from "zod";
import { type Combination, combinations } from "../net/open.ts";
import { ConfigError } from "./config.ts";

export const combinationFlags = {
  combine: z.enum(combinations).default("failover")
    .describe("How several act as one (also --policy); split measures each against the first.")
    .meta({ placeholder: "how", alsoFlag: "policy" }),
  weight: z.array(z.number().positive().max(1e6).meta({ placeholder: "number" })).default([])
    .describe("The share of each, in their order, with balance and split. Default: all alike."),
  sticky: z.boolean().default(false)
    .describe("With split: a host is always led by the same one, while that is up."),
};

export type CombinationSettings = z.output<z.ZodObject<typeof combinationFlags>>;

/** `flag` is that by which the paths were given, `count` how many they are. */
export function combinationOf(
  { combine, weight, sticky }: CombinationSettings,
  { flag, count, action }: { readonly flag: string; readonly count: number; readonly action: string },
): Combination {
  const problems = [
    ...(weight.length > 0 && weight.length !== count
      ? [`--weight must be given once for each ${flag}, got ${weight.length} for ${count}`]
      : []),
    ...(weight.length > 0 && combine !== "balance" && combine !== "split"
      ? [`--weight is of use with --combine balance or split, got ${combine}`]
      : []),
    ...(sticky && combine !== "split" ? [`--sticky is of use with --combine split, got ${combine}`] : []),
    ...(combine === "split" && count < 2 ? [`--combine split must have two of ${flag} to compare, got ${count}`] : []),
  ];
  if (problems.length > 0) throw new ConfigError(action, problems);
  return { how: combine, weights: weight, sticky };
}

/**
 * `CULVERT_*` variables to values. A list is separated by commas; an empty variable counts as unset, since compose
 * files and unit files set variables to nothing when they mean nothing. Variables nobody asks for are left alone: they
 * may belong to another role. Beside its own a field may name one more variable, for whoever comes from another program.
 */

import type { Given } from "./problems.ts";
import type { Field } from "./schema.ts";

export function readEnvironment(env: (name: string) => string | undefined, fields: readonly Field[]): Given[] {
  return fields.flatMap((field) => {
    const origin = [field.environment, field.alsoFrom].find((name) => name !== undefined && env(name));
    const text = origin === undefined || field.positional ? undefined : env(origin);
    if (origin === undefined || !text) return [];
    const value = field.repeatable ? text.split(",").map((item) => item.trim()).filter((item) => item !== "") : text;
    return [{ field, value, origin }];
  });
}

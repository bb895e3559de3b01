/**
 * Fields that commands for peers have alike.
 */

import { z } from "zod";
import { MAX_PATH_BYTES } from "../../protocol/files/listing.ts";

/** A ticket, a peer id or a label. */
export function whoField(): z.ZodString {
  return z.string().min(1).max(32 * 1024).meta({ positional: true, placeholder: "who" });
}

const PATH_RULE = "a path within what is shared, such as films/holiday.mkv; / is all";

/** A path at a peer, as it stands in its listings; `/` becomes "", and slashes around it go. */
export function sharedPath(): z.ZodType<string> {
  return z.string().meta({ positional: true, placeholder: "path", rule: PATH_RULE }).transform(
    (text, context): string => {
      const parts = text.split("/").filter((part) => part !== "");
      const isFine = text !== "" && !text.includes("\0") && text.length <= MAX_PATH_BYTES &&
        parts.every((part) => part !== "." && part !== "..");
      if (isFine) return parts.join("/");
      context.issues.push({ code: "custom", message: PATH_RULE, input: text });
      return z.NEVER;
    },
  );
}

/** Asking a provider's API: one request, one short answer in JSON, and errors that tell people what the provider said. */

import type { z } from "zod";
import { CulvertError, messageOf } from "../../errors.ts";
import { readBytes } from "../../read_bytes.ts";
import type { SendRequest } from "./provider.ts";

const MAX_REPLY_BYTES = 256 * 1024;

export interface Asked<T> {
  readonly send: SendRequest;
  /** Whom: "Stripe". */
  readonly provider: string;
  readonly schema: z.ZodType<T>;
  /** What the provider says is wrong, in an answer that is an error. */
  readonly errorSchema: z.ZodType<string>;
}

/** What the provider answers. Rejects with a CulvertError `payment_failed`; nothing of the request is in it. */
export async function askProvider<T>(request: Request, asked: Asked<T>): Promise<T> {
  const { provider, schema, errorSchema } = asked;
  const reply = await replyTo(request, asked);
  if (reply.isOk) {
    const parsed = schema.safeParse(reply.json);
    if (parsed.success) return parsed.data;
    throw failed(`${provider}'s answer must be as its documentation says, got ${parsed.error.issues[0]!.message}`);
  }
  const detail = errorSchema.safeParse(reply.json).data;
  throw failed(`${provider} answers ${reply.status}${detail === undefined ? "" : `, ${detail.slice(0, 256)}`}`);
}

async function replyTo(request: Request, { send, provider }: Pick<Asked<unknown>, "send" | "provider">) {
  try {
    const response = await send(request);
    const bytes = await readBytes(response.body, MAX_REPLY_BYTES);
    const json: unknown = bytes ? JSON.parse(new TextDecoder().decode(bytes)) : undefined;
    return { isOk: response.ok, status: response.status, json };
  } catch (error) {
    // The address of a request may have a secret in it, and an error of fetch the address.
    const message = messageOf(error).includes(request.url) ? "the connection failed" : messageOf(error);
    throw failed(`${provider} cannot be reached: ${message}`);
  }
}

function failed(problem: string): CulvertError {
  return new CulvertError("payment_failed", `Cannot begin a payment: ${problem}`);
}

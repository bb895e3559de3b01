/**
 * Requests whose URLs hold secrets, as those to a Telegram bot and to IPQualityScore do. While Deno traces, it tells whoever
 * collects the whole URL of each request of its own `fetch`; undici's it does not see.
 */

import type { Tracing } from "../protocol/tracing.ts";

/** Not more: for longer times undici keeps a clock of its own running. */
const KEPT_MS = 1000;

export async function untracedFetch({ isOn }: Pick<Tracing, "isOn">): Promise<typeof fetch> {
  if (!isOn) return fetch;
  const undici = await import("undici");
  const kept = { keepAliveTimeout: KEPT_MS, keepAliveMaxTimeout: KEPT_MS };
  // Whoever asks sets the limits, by a signal.
  const dispatcher = new undici.Agent({ ...kept, headersTimeout: 0, bodyTimeout: 0, connectTimeout: 0 });
  // The same interface, declared by another library. It takes no Request of ours, only what is in it.
  const ask = undici.fetch as unknown as typeof fetch;
  return async (input, init) => {
    const parts = input instanceof Request ? await partsOf(input) : init;
    return await ask(input instanceof Request ? input.url : input, { ...parts, dispatcher } as RequestInit);
  };
}

async function partsOf(request: Request): Promise<RequestInit> {
  const { method, headers, signal, redirect } = request;
  const body = request.body ? { body: await request.bytes() } : {};
  return { method, headers: Object.fromEntries(headers), signal, redirect, ...body };
}

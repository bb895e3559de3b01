/**
 * `GET /probe/<ticket>?bytes=n`: what the watchdog asks through nodes. The answer proves that the ticket came here, and from
 * which address (`protocol/sharing/probe_ticket.ts`). Without a ticket of ours there is nothing here.
 */

import { Hono } from "hono";
import type { Clock } from "../../protocol/clock.ts";
import {
  MAX_PROBE_BYTES,
  PROBE_ADDRESS_HEADER,
  PROBE_PATH,
  PROBE_PROOF_HEADER,
  type ProbeTickets,
} from "../../protocol/sharing/probe_ticket.ts";
import { Problem } from "../problem.ts";

export interface ProbeDeps {
  readonly tickets: ProbeTickets;
  readonly clock: Clock;
}

export interface ProbeEnv {
  readonly Bindings: { readonly remoteAddress?: string | undefined };
}

export function probeRoutes({ tickets, clock }: ProbeDeps): Hono<ProbeEnv> {
  const app = new Hono<ProbeEnv>();
  app.get(`${PROBE_PATH}/:ticket`, (context) => {
    const ticket = context.req.param("ticket");
    const bytes = Number(context.req.query("bytes") ?? "0");
    if (!tickets.isValid(ticket, clock.wallNow())) {
      return new Problem("not_found", "Cannot answer: no such probe").response();
    }
    if (!Number.isSafeInteger(bytes) || bytes < 0 || bytes > MAX_PROBE_BYTES) {
      return new Problem("bad_request", `Cannot answer: bytes must be 0 to ${MAX_PROBE_BYTES}`).response();
    }
    const address = context.env.remoteAddress ?? "";
    // Bytes that nothing on the way can make fewer.
    const body = new Uint8Array(bytes);
    for (let at = 0; at < bytes; at += 65_536) crypto.getRandomValues(body.subarray(at, at + 65_536));
    return context.body(body, 200, {
      "content-type": "application/octet-stream",
      "cache-control": "no-store",
      [PROBE_PROOF_HEADER]: tickets.proof(ticket, address, bytes),
      [PROBE_ADDRESS_HEADER]: address,
    });
  });
  return app;
}

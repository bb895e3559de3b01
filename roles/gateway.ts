/**
 * `culvert gateway`: where circuits leave for the internet. It listens nowhere and is in no directory: it dials relays, and
 * they alone learn its address.
 *
 *   gateway ─ links ─▶ relays        circuits ─ on those links ─▶ --path (direct: by default) ─▶ …
 */

import { z } from "zod";
import { GatewayServer } from "../net/circuit/gateway.ts";
import { aborted } from "../protocol/abort.ts";
import { peerIdSchema } from "../protocol/fields.ts";
import type { Path } from "../protocol/stream.ts";
import { baseFlags, type MemberParts, openMemberParts } from "./relay_settings.ts";
import { defineRole, type Role, type RoleContext, runRole } from "./role.ts";
import { openWayOut, wayOut } from "./way_out.ts";

const config = z.object({
  ...baseFlags,
  relay: z.array(peerIdSchema.meta({ placeholder: "peer" })).max(16).default([])
    .describe("A relay to dial, by its id; without any, some of the directory are chosen.")
    .meta({ defaultText: "of the directory" }),
  links: z.number().int().min(1).max(16).default(3).describe("How many are chosen, and links kept up."),
  ...wayOut,
  maxCircuits: z.number().int().min(1).max(1_000_000).default(4096).describe("Circuits at once."),
  maxStreams: z.number().int().min(1).max(65_536).default(1024).describe("Streams at once on one circuit."),
});

type Settings = z.output<typeof config>;

export const role: Role<typeof config> = defineRole({
  name: "gateway",
  summary: "Lets circuits out to the internet under a policy, and is reached through relays only.",
  config,
  examples: [
    "culvert gateway --base https://base.example --egress-policy policy.toml",
    "culvert gateway --base https://base.example --path tunnel+wss://T@far.example/",
    "culvert gateway --config gateway.toml",
  ],
  async run(config, context) {
    const { signal, hardSignal } = context;
    const action = "start gateway";
    await using parts = await openMemberParts(config, { role: "gateway", action, others: ["relay"] }, context);
    await using onward = await openWayOut(config, action, context);
    await using serving = serve(config, { ...parts, onward: onward.path }, context);
    const { server } = serving;
    context.check("relays", () => server.relaysUp().length > 0 ? undefined : "There is no link to any relay");
    context.check("base", () => parts.relays.problem);
    await Promise.race([server.listed(signal), aborted(signal)]);
    if (signal.aborted) return;
    context.ready({ addresses: {}, note: `peer ${parts.identity.peerId}` });
    await aborted(signal);
    await server.shutdown(hardSignal);
  },
});

/** Disposing closes the server and waits for what runs of it, which uses what is closed after it. */
function serve(
  { relay, links, maxCircuits, maxStreams }: Settings,
  { identity, primitives, crypto, membership, relays, caCerts, locate, onward }: MemberParts & {
    readonly onward: Path;
  },
  { clock, random, log, metrics }: RoleContext,
): { readonly server: GatewayServer } & AsyncDisposable {
  const server = new GatewayServer({
    ...{ identity, directory: relays, links, onward, primitives, clock, log, metrics, caCerts, locate },
    relays: relay.length > 0 ? relay : undefined,
    tools: { crypto, random },
    network: membership?.network,
    certificate: membership?.certificate,
    limits: { maxCircuits, maxStreamsPerCircuit: maxStreams },
  });
  return {
    server,
    async [Symbol.asyncDispose]() {
      server.close();
      await server.closed();
    },
  };
}

if (import.meta.main) Deno.exit(await runRole(role, Deno.args));

/**
 * `culvert kcp-invite`, `kcp-revoke` and `kcp-clients`: whom the servers with this state directory let in, those of vtcp as
 * well. Servers that run know within a second.
 */

import { z } from "zod";
import { hostPrimitives } from "../../net/host_primitives.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { formatPorts } from "../../protocol/port_span.ts";
import { formatCredential } from "../../protocol/sealed_packets/credentials.ts";
import { defineRole, type Role } from "../role.ts";
import { TransportClients } from "../transport_clients.ts";
import { farPlace } from "./far_end.ts";

const clientName = z.string().min(1).describe("What the client is called.")
  .meta({ positional: true, placeholder: "name" });

const inviteConfig = z.object({
  name: clientName,
  at: farPlace().describe("Where the client reaches the server: its host, and --ports.").optional(),
  by: z.enum(["kcp+udp", "kcp+raw", "vtcp", "vtcp+udp"]).default("kcp+udp").describe(
    "What the client's URL begins with.",
  ),
});

export const inviteRole: Role<typeof inviteConfig> = defineRole({
  name: "kcp-invite",
  summary: "Lets a client into the KCP and vtcp servers of this machine: prints its URL.",
  config: inviteConfig,
  examples: [
    "culvert kcp invite alice --at server.example:4000",
    "culvert kcp invite alice --at 192.0.2.7:24000-24007 --by kcp+raw",
  ],
  longRunning: false,
  async run({ name, at, by }, context) {
    const clients = await TransportClients.open(context);
    const serverPublicKey = hostPrimitives().x25519PublicKey(await clients.serverKey());
    const { secret } = await clients.invite(name);
    const credential = formatCredential({ serverPublicKey, secret });
    const host = at && (at.host.includes(":") ? `[${at.host}]` : at.host);
    const url = at && `${by}://${credential}@${host}:${formatPorts(at.ports)}/`;
    context.print(context.json ? JSON.stringify({ name, credential, ...url && { url } }) : url ?? credential);
  },
});

const revokeConfig = z.object({ name: clientName });

export const revokeRole: Role<typeof revokeConfig> = defineRole({
  name: "kcp-revoke",
  summary: "Lets a client in no longer; its sessions end at once.",
  config: revokeConfig,
  examples: ["culvert kcp revoke alice"],
  longRunning: false,
  async run({ name }, context) {
    const clients = await TransportClients.open(context);
    if (!await clients.revoke(name)) {
      throw new CulvertError(
        "unknown_client",
        `Cannot revoke ${JSON.stringify(name)}: nobody of that name was invited`,
      );
    }
    context.print(context.json ? JSON.stringify({ name, revoked: true }) : `${name} is revoked`);
  },
});

const clientsConfig = z.object({});

export const clientsRole: Role<typeof clientsConfig> = defineRole({
  name: "kcp-clients",
  summary: "Who was invited into the KCP and vtcp servers of this machine.",
  config: clientsConfig,
  examples: ["culvert kcp clients"],
  longRunning: false,
  async run(_config, context) {
    const names = (await (await TransportClients.open(context)).list()).map(({ name }) => name);
    if (context.json) return context.print(JSON.stringify({ clients: names }));
    if (names.length === 0) context.print("Nobody was invited yet: culvert kcp invite NAME");
    for (const name of names) context.print(name);
  },
});

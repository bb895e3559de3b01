/**
 * `culvert admin`: what an administrator sees and does at a supernode or a base that runs. Their HTTP APIs are in
 * `supernode/admin_api.ts` and `base/admin_api.ts`; on its own machine this finds it by the state directory, with nothing else to say.
 */

import { z } from "zod";
import { delay } from "../protocol/clock.ts";
import { COMMAND_KINDS } from "../protocol/control/commands.ts";
import { RELAY_MODES } from "../protocol/control/packets.ts";
import { peerIdSchema } from "../protocol/fields.ts";
import { isPeerId } from "../protocol/identity.ts";
import { AdminConnection } from "./admin/connection.ts";
import { DEEDS, doDeed } from "./admin/deeds.ts";
import { DEFAULT_DAYS } from "./admin/export_config.ts";
import { exportConfig } from "./admin/export_output.ts";
import { deviceNames, deviceNameSchema } from "./admin/kept_peers.ts";
import { type Listing, type ListName, LISTS, readList } from "./admin/lists.ts";
import { type BaseStatusAnswer, baseStatusAnswer } from "./base/admin_schema.ts";
import { ConfigError } from "./config.ts";
import { quoteText } from "./escape.ts";
import { durationMs, filePath, secret } from "./fields.ts";
import { regionName } from "./peer/settings.ts";
import { defineRole, type Role, type RoleContext, runRole } from "./role.ts";
import { MAX_STATIC_DAYS, type StatusAnswer, statusAnswer } from "./supernode/admin_schema.ts";
import { spanText } from "./table.ts";

const EXPORT = "export-config";
const DASHBOARD = "dashboard";
const CLEAR_SCREEN = "\x1b[H\x1b[2J";

const word = (placeholder: string) => z.string().min(1).optional().meta({ positional: true, placeholder });

const config = z.object({
  action: z.enum(["status", DASHBOARD, ...LISTS, ...DEEDS, EXPORT]).describe("What to see or do.")
    .meta({ positional: true, placeholder: "action" }),
  subject: word("subject").describe("The peer, supernode or session that it is about."),
  kind: z.enum(COMMAND_KINDS).optional().describe("push: which command.")
    .meta({ positional: true, placeholder: "kind" }),
  payload: word("json").describe("push: what the command says."),
  admin: z.url({ protocol: /^https?$/, error: "an http or https URL" }).optional()
    .describe("The administrators' API of a supernode, or of base.").meta({
      placeholder: "url",
      defaultText: "what runs with --state-dir",
    }),
  adminToken: secret().optional().describe("The token it wants. Best given as CULVERT_ADMIN_TOKEN."),
  adminTokenFile: filePath().optional().describe("A file with the token, which nobody else may read."),
  limit: z.number().int().min(1).max(1_000_000).default(100).describe("How many to list.")
    .meta({ placeholder: "count" }),
  watch: z.boolean().default(false).describe("Show it again and again, until stopped."),
  every: durationMs("2s", { minMs: 100 }).describe("How often."),
  reason: z.string().max(1024).default("").describe("revoke, block: why, for whoever looks later.")
    .meta({ placeholder: "text" }),
  session: z.string().optional().describe("push: the session that the command is about.").meta({ placeholder: "id" }),
  queue: z.boolean().default(false).describe("push: keep the command for a peer that is not connected."),
  timeout: durationMs("30s", { minMs: 100, maxMs: 3_600_000 }).describe("push: how long the peer may take to answer."),
  within: durationMs("60s", { maxMs: 3_600_000 }).describe("drain: how long the peers have to leave."),
  peer: deviceNameSchema.optional().describe("export-config: what you call the device, such as phone.")
    .meta({ placeholder: "name" }),
  region: regionName().optional().describe("export-config: where its traffic should leave; anywhere unless given."),
  exit: z.string().refine(isPeerId, "a peer id of 26 characters").optional()
    .describe("export-config: the exit at which it should leave.").meta({ placeholder: "peer id" }),
  relay: z.enum(RELAY_MODES).optional()
    .describe(
      "export-config: blind, only the exit can read what passes, and when that stops so does the device; or terminate, the supernode can read it, and takes another exit.",
    ).meta({ placeholder: "mode", defaultText: "blind" }),
  days: z.number().min(1 / 24).max(MAX_STATIC_DAYS).optional().describe("export-config: for how long.")
    .meta({ placeholder: "days", defaultText: `${DEFAULT_DAYS}` }),
  renew: z.boolean().default(false).describe("export-config: have a new session, in place of the one there is."),
  cert: z.string().optional().describe("export-config: the device's certificate in a closed network.")
    .meta({ placeholder: "certificate", rule: "a certificate or a file with one", completes: "file" }),
  qr: z.boolean().default(false).describe("export-config: show a code for a phone's camera."),
  out: filePath().optional().describe("export-config: write it to this file, which nobody else may read."),
});
type AdminSettings = z.output<typeof config>;

export const role: Role<typeof config> = defineRole({
  name: "admin",
  summary: "Sees and steers a running supernode or base: streams, sessions, peers, commands, blocks.",
  config,
  examples: [
    "culvert admin status",
    "culvert admin dashboard",
    "culvert admin streams --watch",
    "culvert admin revoke PEER --reason 'key was stolen'",
    'culvert admin push PEER DISCONNECT \'{"reason":"admin"}\'',
    "culvert admin end SESSION",
    "culvert admin export-config --peer phone --region eu --qr",
    "CULVERT_ADMIN_TOKEN=$TOKEN culvert admin peers --admin http://127.0.0.1:8451",
  ],
  longRunning: false,
  async run(config, context) {
    const { action } = config;
    requireWords(config);
    if (action === EXPORT) return await exportConfig(config, context);
    const connection = await AdminConnection.find(config, context);
    if (action === "status") return await show(() => readStatus(connection), config, context);
    if (action === DASHBOARD) return await showDashboard(connection, context);
    if (isList(action)) return await show(() => readNow(action, config, { connection, context }), config, context);
    const { json, line } = await doDeed(action, config, connection);
    context.print(context.json ? JSON.stringify(json) : line);
  },
});

function isList(action: string): action is ListName {
  return (LISTS as readonly string[]).includes(action);
}

/** Words that a deed has no use for are a mistake, and what is not about a peer may be about much more. */
function requireWords({ action, subject, kind, payload, watch, peer }: AdminSettings): void {
  const problems: string[] = [];
  const takesSubject = !["status", DASHBOARD, "drain", "undrain", EXPORT].includes(action);
  if (!takesSubject && subject !== undefined) problems.push("<subject> must be left out");
  if (action !== "push" && (kind ?? payload) !== undefined) problems.push("<kind> must be left out");
  if (isList(action) && subject !== undefined && !peerIdSchema.safeParse(subject).success) {
    problems.push(`<subject> must be a peer id, got ${quoteText(subject, 40)}`);
  }
  if (action === EXPORT && peer === undefined) problems.push("--peer must be given: a name for the device");
  if (watch && !isList(action) && action !== "status") problems.push("--watch must be left out");
  if (problems.length > 0) throw new ConfigError(`run admin ${action}`, problems);
}

/** Once, or until stopped. */
async function show(
  read: () => Promise<Listing>,
  { watch, every }: AdminSettings,
  context: RoleContext,
): Promise<void> {
  const { json, print, clock, signal } = context;
  const isScreen = watch && !json && Deno.stdout.isTerminal();
  do {
    const listing = await read();
    if (json) print(JSON.stringify(listing.json));
    else print((isScreen ? CLEAR_SCREEN : "") + listing.lines.join("\n"));
    if (watch) await delay(clock, every, signal);
  } while (watch);
}

async function readNow(
  action: ListName,
  { subject, limit }: AdminSettings,
  { connection, context }: { readonly connection: AdminConnection; readonly context: RoleContext },
): Promise<Listing> {
  const names = await deviceNames(context.stateDir);
  return await readList(action, { peer: subject, limit, wallMs: context.clock.wallNow(), names }, connection);
}

/** Where to look, for whoever has the token. */
async function showDashboard(connection: AdminConnection, { json, print }: RoleContext): Promise<void> {
  const url = await connection.logIn();
  print(json ? JSON.stringify({ url }) : url);
}

async function readStatus(connection: AdminConnection): Promise<Listing> {
  const status = await connection.call({ path: "/v1/status", answer: z.union([baseStatusAnswer, statusAnswer]) });
  return { json: status, lines: "role" in status ? baseLines(status) : supernodeLines(status) };
}

function baseLines({ version, upMs, supernodes, relays, blocks }: BaseStatusAnswer): string[] {
  return [
    `base       ${version}, up for ${spanText(upMs)}`,
    `supernodes ${supernodes}`,
    `relays     ${relays}`,
    `blocks     ${blocks}`,
  ];
}

function supernodeLines(status: StatusAnswer): string[] {
  const { supernodeId, networkId, region, version, upMs, draining, streams, exits, sessions, links, blocks } = status;
  return [
    `supernode  ${supernodeId}`,
    ...(networkId === undefined ? [] : [`network    ${networkId}, closed`]),
    `region     ${region}`,
    `version    ${version}, up for ${spanText(upMs)}`,
    `state      ${draining ? "draining: nobody is let in" : "serving"}`,
    `streams    ${streams}, ${exits} of them exits`,
    `sessions   ${sessions}`,
    `links      ${links}`,
    `blocks     ${blocks}`,
  ];
}

if (import.meta.main) Deno.exit(await runRole(role, Deno.args));

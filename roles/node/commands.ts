/**
 * `culvert node status`, `pause`, `resume` and `consent`: what an owner asks of the node with this state directory, whether
 * it runs or not.
 */

import { z } from "zod";
import { hostPrimitives } from "../../net/host_primitives.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { currentConsentText } from "../../protocol/sharing/consent.ts";
import { askControlSocket } from "../control_socket.ts";
import { durationMs } from "../fields.ts";
import { loadIdentity } from "../identity_store.ts";
import { defineRole, type Role, type RoleContext } from "../role.ts";
import { StateDirectory } from "../state.ts";
import { problemOf } from "./agreement.ts";
import { type NodeRequest, nodeSocketPath, nodeWords } from "./control.ts";
import { ownerPause } from "./guard.ts";
import { NodeFiles } from "./records.ts";
import { type NodeReport, reportLines } from "./status.ts";
import { consentLines, rows, timeText } from "./words.ts";

const nothing = z.object({});

export const statusRole: Role<typeof nothing> = defineRole({
  name: "node-status",
  summary: "What the node of this machine shares, has shared and has earned.",
  config: nothing,
  examples: ["culvert node status", "culvert node status --json"],
  longRunning: false,
  async run(_config, context) {
    const report = await ask({ do: "status" }, context);
    if (report) return show(report, context);
    throw new CulvertError("not_up", "Cannot ask the node: one must run with this --state-dir; there is none");
  },
});

const pauseConfig = z.object({
  for: durationMs(undefined, { minMs: 1000, maxMs: 366 * 86_400_000 }).optional()
    .describe("How long, such as 2h; until told otherwise unless given."),
});

export const pauseRole: Role<typeof pauseConfig> = defineRole({
  name: "node-pause",
  summary: "Shares nothing from now on, for a while or until node-resume, restarts included.",
  config: pauseConfig,
  examples: ["culvert node pause", "culvert node pause --for 2h"],
  longRunning: false,
  async run({ for: forMs }, context) {
    const report = await ask({ do: "pause", ...forMs !== undefined && { forMs } }, context);
    if (report) return show(report, context);
    const pause = ownerPause(context.clock.wallNow(), forMs);
    await (await filesOf(context)).setPause(pause);
    say("The node is paused. It does not run at present", { running: false, pause }, context);
  },
});

export const resumeRole: Role<typeof nothing> = defineRole({
  name: "node-resume",
  summary: "Takes a pause back; what else keeps the node from sharing still does.",
  config: nothing,
  examples: ["culvert node resume"],
  longRunning: false,
  async run(_config, context) {
    const report = await ask({ do: "resume" }, context);
    if (report) return show(report, context);
    await (await filesOf(context)).setPause(undefined);
    say("The node is paused no more. It does not run at present", { running: false }, context);
  },
});

const consentConfig = z.object({
  withdraw: z.boolean().default(false).describe("Take consent back: the node that runs ends at once."),
});

export const consentRole: Role<typeof consentConfig> = defineRole({
  name: "node-consent",
  summary: "Shows what the owner of a node agrees to and has agreed to, or takes it back.",
  config: consentConfig,
  examples: ["culvert node consent", "culvert node consent --withdraw"],
  longRunning: false,
  run: (config, context) => config.withdraw ? withdraw(context) : showConsent(context),
});

async function showConsent(context: RoleContext): Promise<void> {
  const { json, print, clock, stateDir } = context;
  const text = currentConsentText();
  const primitives = hostPrimitives();
  const identity = await loadIdentity(await StateDirectory.open(stateDir), primitives);
  const { orchestrators } = await (await filesOf(context)).records();
  const given = Object.entries(orchestrators).flatMap(([url, { consent }]) => {
    const isGood = consent && identity && problemOf(consent, { identity, primitives, clock }) === undefined;
    return consent ? [{ url, isGood: isGood ?? false, version: consent.version, atMs: consent.atMs }] : [];
  });
  if (json) return print(JSON.stringify({ version: text.version, text: text.paragraphs, given }));
  for (const line of consentLines(text)) print(line);
  print("");
  if (given.length === 0) return print("Nobody has agreed on this machine: nothing is shared.");
  const lines = rows(given.map(({ url, isGood, version, atMs }) => {
    const at = `agreed ${timeText(atMs, Number.NEGATIVE_INFINITY)}, version ${version}`;
    return [url, isGood ? at : `${at}; will be asked for again`] as const;
  }));
  for (const line of lines) print(line);
}

async function withdraw(context: RoleContext): Promise<void> {
  const files = await filesOf(context);
  // First what is kept: a node that is started meanwhile must ask.
  await files.change(({ orchestrators, ...rest }) => ({
    ...rest,
    orchestrators: Object.fromEntries(
      Object.entries(orchestrators).map(([url, { consent: _, ...others }]) => [url, others]),
    ),
  }));
  const report = await ask({ do: "withdraw" }, context);
  const more = report ? ", and the node has ended" : "";
  say(`Consent is withdrawn${more}. Nothing is shared`, { withdrawn: true, ended: report !== undefined }, context);
}

function ask(request: NodeRequest, { stateDir, clock, signal }: RoleContext): Promise<NodeReport | undefined> {
  return askControlSocket({ path: nodeSocketPath(stateDir), words: nodeWords }, request, { clock, signal });
}

function filesOf({ stateDir, clock }: RoleContext): Promise<NodeFiles> {
  return NodeFiles.open(stateDir, clock);
}

function show(report: NodeReport, { json, print }: RoleContext): void {
  if (json) return print(JSON.stringify(report));
  for (const line of reportLines(report)) print(line);
}

function say(text: string, result: object, { json, print }: RoleContext): void {
  print(json ? JSON.stringify(result) : text);
}

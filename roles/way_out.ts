/**
 * Where the traffic of a role leaves: the settings that say so, alike for every role that has them, and what they open.
 *
 *   --path … --combine … --egress-policy … --ca-file … --network-public-key …  ─▶  one Path
 */

import { z } from "zod";
import { hostPrimitives } from "../net/host_primitives.ts";
import { type OpenOptions, openPaths, pathPrefixes } from "../net/open.ts";
import { aborted } from "../protocol/abort.ts";
import { CulvertError } from "../protocol/errors.ts";
import type { PolicySource } from "../protocol/egress_policy.ts";
import type { Path } from "../protocol/stream.ts";
import { Membership, networkFlags } from "./closed_network.ts";
import { combinationFlags, combinationOf } from "./combination.ts";
import { ConfigError } from "./config.ts";
import { openPolicy } from "./egress_policy.ts";
import { filePath } from "./fields.ts";
import { loadOrCreateIdentity } from "./identity_store.ts";
import { requireDenoRight } from "./machine/deno_rights.ts";
import { readPem } from "./pem_file.ts";
import type { RoleContext } from "./role.ts";
import { StateDirectory } from "./state.ts";

/** Path URLs hold tokens, so no message repeats them. */
const pathUrls = z.array(
  z.string().refine((url) => pathPrefixes.some((prefix) => url.startsWith(prefix)), {
    error: `a URL that begins with ${pathPrefixes.join(", ")}`,
  }).meta({ placeholder: "url", secret: true, defaultText: "direct:" }),
).default(["direct:"]);

export const wayOut = {
  path: pathUrls.describe("A way out; several act as one, by --combine."),
  ...combinationFlags,
  egressPolicy: filePath().optional().describe("What direct: may dial; a TOML file, followed while it changes."),
  caFile: filePath().optional().describe("Certificates to trust beside the usual ones, in PEM."),
  ...networkFlags,
};

export type WayOut = z.output<z.ZodObject<typeof wayOut>>;

/** What is wrong with a URL itself. */
const BAD_URL: readonly string[] = ["bad_url", "bad_key", "bad_option"];

/**
 * Opens it. `flag` is that which the URLs were given by. `action` is what cannot be done when a setting is wrong: "start proxy". Disposing waits for its goodbyes:
 * whoever keeps something for us far away need not find out that we are gone.
 */
export async function openWayOut(
  settings: WayOut & { readonly flag?: string },
  action: string,
  context: Pick<RoleContext, "clock" | "random" | "log" | "metrics" | "tracing" | "stateDir" | "signal" | "hardSignal">,
): Promise<{ readonly path: Path; readonly policy: PolicySource } & AsyncDisposable> {
  const { clock, random, log, metrics, tracing } = context;
  const { caFile } = settings;
  requirePathRights(settings, action);
  const caCerts = caFile === undefined ? undefined : [await readPem(caFile, { flag: "--ca-file", action })];
  using opened = new DisposableStack();
  const policy = opened.use(await openPolicy(settings.egressPolicy, context));
  const member = await joinNetwork(settings, context);
  if (member) opened.use(member.membership);
  const options = { clock, random, log, metrics, tracing, policy, ...(caCerts && { caCerts }), ...member?.open };
  const path = opened.use(openSettled(settings, action, options));
  const kept = opened.move();
  return {
    path,
    policy,
    async [Symbol.asyncDispose]() {
      kept.dispose();
      await Promise.race([path.closed?.(), aborted(context.hardSignal)]);
    },
  };
}

/** Paths that are made by foreign functions. */
const NATIVE = /^(kcp\+raw|vtcp|vtcp\+udp):/;

/** Where one of several paths can be had without, the others are only warned of. */
function requirePathRights({ path, flag = "--path" }: Parameters<typeof openWayOut>[0], action: string): void {
  const [scheme] = NATIVE.exec(path[0] ?? "") ?? [];
  if (scheme === undefined || !path.every((url) => NATIVE.test(url))) return;
  requireDenoRight({ role: action.replace(/^start /, ""), what: `${flag} ${scheme}`, right: "libc" });
}

/** Paths that lead through relays; in a closed network these ask who we are. */
const RELAYED = /^(fragments|circuit)\+/;

/** Who we are on paths through the closed network, if it is one and there are any. */
async function joinNetwork(
  { path, networkPublicKey }: WayOut,
  context: Pick<RoleContext, "clock" | "random" | "log" | "metrics" | "stateDir" | "signal">,
): Promise<{ readonly membership: Membership; readonly open: Partial<OpenOptions> } | undefined> {
  if (!networkPublicKey || !path.some((url) => RELAYED.test(url))) return undefined;
  const primitives = hostPrimitives();
  const state = await StateDirectory.open(context.stateDir);
  const { identity } = await loadOrCreateIdentity(state, { ...context, primitives });
  const place = { peerId: identity.peerId, role: "client" };
  const membership = await Membership.join(networkPublicKey, { ...context, state, place, primitives });
  return { membership, open: { identity, networkPublicKey, certificate: membership.certificate } };
}

function openSettled(
  settings: Parameters<typeof openWayOut>[0],
  action: string,
  options: Parameters<typeof openPaths>[2],
): Path {
  const { path, flag = "--path" } = settings;
  const combination = combinationOf(settings, { flag, count: path.length, action });
  try {
    return openPaths(path, combination, options);
  } catch (error) {
    if (!(error instanceof CulvertError) || !BAD_URL.includes(error.code)) throw error;
    throw new ConfigError(action, [`${flag} is of no use. ${error.message}`]);
  }
}

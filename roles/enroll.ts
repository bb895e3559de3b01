/**
 * `culvert enroll`: everything about belonging to a closed network, one thing per call:
 *
 *   --new-network FILE           on the owner's machine: makes the network, prints the public key that everyone gets
 *   --network-key FILE --peer ID on the same machine: lets a peer in, prints its certificate
 *   --install CERT               on the peer's machine: keeps the certificate, if it is for this peer
 *   --show CERT                  anywhere: says in words what a certificate allows
 *
 * CERT is the certificate's text or the name of a file with it.
 */

import { z } from "zod";
import { hostPrimitives } from "../net/host_primitives.ts";
import {
  ANY_REGION,
  type Certificate,
  encodeCertificate,
  isSignedBy,
  issueCertificate,
  networkIdOf,
  parseCertificate,
} from "../protocol/certificate.ts";
import type { Clock } from "../protocol/clock.ts";
import { decodeBase64, encodeBase64 } from "../protocol/encoding.ts";
import { CulvertError } from "../protocol/errors.ts";
import { isPeerId } from "../protocol/identity.ts";
import { KEY_BYTES, type Primitives } from "../protocol/primitives.ts";
import type { Random } from "../protocol/random.ts";
import { describeCertificate } from "./certificate_text.ts";
import { loadOrCreateIdentity, storeCertificate } from "./identity_store.ts";
import { createNetwork, readNetworkKey } from "./network_key.ts";
import { runRole } from "./role.ts";
import { StateDirectory } from "./state.ts";

const DAY_MS = 86_400_000;
/** More than any certificate's text; a wrong path must not fill the memory. */
const MAX_CERTIFICATE_FILE_BYTES = 4096;

/** What is to be done: exactly one of these must be given. */
const ACTIONS = ["newNetwork", "networkKey", "install", "show"] as const;

const file = { placeholder: "file", completes: "file" } as const;
const certificate = { placeholder: "certificate", rule: "a certificate or a file with one", completes: "file" };

const config = z.object({
  newNetwork: z.string().optional().describe("Make a network and write its key to this new file.").meta(file),
  networkKey: z.string().optional().describe("Issue a certificate with the network key in this file.").meta(file),
  peer: z.string().refine(isPeerId, "a peer id of 26 characters").optional()
    .describe("The peer the certificate is for, as `culvert keys` shows it.").meta({ placeholder: "peer id" }),
  role: z.array(z.string()).default([]).describe("A role the peer may hold; give it once for each.")
    .meta({ placeholder: "role" }),
  region: z.string().default(ANY_REGION).describe("Where the peer may hold them.").meta({ placeholder: "region" }),
  days: z.number().min(0.01).max(36_500).default(365).describe("For how long.").meta({ placeholder: "days" }),
  out: z.string().optional().describe("Write the certificate to this new file instead of printing it.").meta(file),
  install: z.string().optional().describe("Keep this certificate, after checking that it is for this peer.")
    .meta(certificate),
  show: z.string().optional().describe("Say in words what this certificate allows.").meta(certificate),
  networkPublicKey: z.string().refine(isKey, "32 bytes in base64").optional()
    .describe("Check the signature with this key, as --new-network printed it.").meta({ placeholder: "key" }),
}).superRefine((settings, context) => {
  const given = ACTIONS.filter((action) => settings[action] !== undefined);
  const issue = (path: string, message: string) => context.addIssue({ code: "custom", path: [path], message });
  if (given.length === 0) {
    issue("newNetwork", "given, or --network-key, --install or --show instead");
  } else if (given.length > 1) {
    issue(given[1]!, "given alone: only one of --new-network, --network-key, --install and --show");
  } else if (given[0] === "networkKey") {
    if (settings.peer === undefined) issue("peer", "given with --network-key");
    if (settings.role.length === 0) issue("role", "given at least once with --network-key");
  }
});

export type EnrollSettings = z.output<typeof config>;

/** What the role uses of its context. */
export interface EnrollContext {
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly random: Random;
  readonly stateDir: string;
  readonly json: boolean;
  print(line: string): void;
}

export const role = {
  name: "enroll",
  summary: "Makes closed networks and lets peers in: keys, certificates, and what they say.",
  config,
  examples: [
    "culvert enroll --new-network network.key",
    "culvert enroll --network-key network.key --peer PEERID --role exit --days 90",
    "culvert enroll --install exit.cert",
  ],
  longRunning: false,
  async run(settings: EnrollSettings, context: EnrollContext): Promise<void> {
    const { newNetwork, networkKey, install, show } = settings;
    if (newNetwork !== undefined) await printNewNetwork(newNetwork, context);
    if (networkKey !== undefined) await printIssued(networkKey, settings, context);
    if (install !== undefined) await printInstalled(await readCertificate(install), settings, context);
    if (show !== undefined) printShown(await readCertificate(show), settings, context);
  },
};

/** Lets a peer in. Throws `invalid_certificate` for a request that cannot be one. */
export async function issue(
  request: { readonly networkKeyFile: string } & Pick<EnrollSettings, "peer" | "role" | "region" | "days">,
  tools: Pick<EnrollContext, "clock" | "random"> & { readonly primitives: Primitives },
): Promise<Certificate> {
  const nowMs = tools.clock.wallNow();
  const networkKey = await readNetworkKey(request.networkKeyFile, tools.primitives);
  return issueCertificate({
    peerId: request.peer ?? "",
    roles: request.role,
    region: request.region,
    notBeforeMs: Math.floor(nowMs),
    notAfterMs: Math.floor(nowMs + request.days * DAY_MS),
  }, { ...tools, networkKey });
}

/** Keeps a certificate in the state directory; gives the file. Throws `wrong_certificate` if it is of no use here. */
export async function install(
  certificate: Certificate,
  options: Pick<EnrollContext, "signal" | "clock" | "random" | "stateDir"> & {
    readonly primitives: Primitives;
    readonly networkPublicKey?: Uint8Array | undefined;
  },
): Promise<string> {
  const { clock, random, stateDir, primitives, signal, networkPublicKey } = options;
  const state = await StateDirectory.open(stateDir);
  const { identity } = await loadOrCreateIdentity(state, { random, primitives, clock, signal });
  const cannot = (rule: string) => new CulvertError("wrong_certificate", `Cannot install the certificate: ${rule}`);
  if (certificate.peerId !== identity.peerId) {
    throw cannot(`it must be for this peer, ${identity.peerId}, got one for ${certificate.peerId}`);
  }
  if (certificate.notAfterMs <= clock.wallNow()) {
    throw cannot(`it must not have expired, got one that ended at ${new Date(certificate.notAfterMs).toISOString()}`);
  }
  if (networkPublicKey && signatureOf(certificate, networkPublicKey, primitives) !== "good") {
    const networkId = networkIdOf(networkPublicKey, primitives);
    throw cannot(`it must be signed by the network ${networkId}, got one that is not`);
  }
  return await storeCertificate(state, certificate, { clock, signal });
}

async function printNewNetwork(path: string, context: EnrollContext): Promise<void> {
  const { networkId, publicKey } = await createNetwork(path, { random: context.random, primitives: hostPrimitives() });
  const network = { networkId, publicKey: encodeBase64(publicKey), file: path };
  if (context.json) return context.print(JSON.stringify(network));
  context.print(`network id          ${network.networkId}`);
  context.print(`network public key  ${network.publicKey}`);
  context.print(`secret key          ${path}`);
  context.print("Keep that file offline: whoever has it decides who belongs to the network.");
}

async function printIssued(networkKeyFile: string, settings: EnrollSettings, context: EnrollContext): Promise<void> {
  const issued = await issue({ networkKeyFile, ...settings }, { ...context, primitives: hostPrimitives() });
  const text = encodeCertificate(issued);
  if (settings.out !== undefined) await writeNewFile(settings.out, text + "\n");
  if (context.json) context.print(JSON.stringify({ certificate: text, ...claimsOf(issued), file: settings.out }));
  else context.print(settings.out === undefined ? text : `Wrote ${settings.out}`);
}

async function printInstalled(
  certificate: Certificate,
  settings: EnrollSettings,
  context: EnrollContext,
): Promise<void> {
  const networkPublicKey = keyOf(settings);
  const path = await install(certificate, { ...context, primitives: hostPrimitives(), networkPublicKey });
  if (context.json) return context.print(JSON.stringify({ ...claimsOf(certificate), file: path }));
  context.print(`Kept in ${path}`);
  printShown(certificate, settings, context);
}

function printShown(certificate: Certificate, settings: EnrollSettings, context: EnrollContext): void {
  const signature = signatureOf(certificate, keyOf(settings), hostPrimitives());
  if (context.json) return context.print(JSON.stringify({ ...claimsOf(certificate), signature }));
  describeCertificate(certificate, { nowMs: context.clock.wallNow(), signature }).forEach((line) =>
    context.print(line)
  );
}

function signatureOf(
  certificate: Certificate,
  networkPublicKey: Uint8Array | undefined,
  primitives: Primitives,
): "good" | "bad" | "unchecked" {
  if (!networkPublicKey) return "unchecked";
  const good = certificate.networkId === networkIdOf(networkPublicKey, primitives) &&
    isSignedBy(certificate, networkPublicKey, primitives);
  return good ? "good" : "bad";
}

function claimsOf({ signature: _, ...claims }: Certificate): Omit<Certificate, "signature"> {
  return claims;
}

function isKey(text: string): boolean {
  return decodeBase64(text)?.length === KEY_BYTES;
}

function keyOf({ networkPublicKey }: EnrollSettings): Uint8Array | undefined {
  return networkPublicKey === undefined ? undefined : decodeBase64(networkPublicKey);
}

/** A certificate from its text or a file with it. Throws `invalid_certificate` or `not_found`. */
export async function readCertificate(textOrFile: string): Promise<Certificate> {
  const text = textOrFile.startsWith("culvert-cert-") ? textOrFile : await readSmallFile(textOrFile);
  const certificate = parseCertificate(text.trim());
  if (certificate) return certificate;
  throw new CulvertError(
    "invalid_certificate",
    "Cannot read the certificate: it must be as `culvert enroll` issued it",
  );
}

async function readSmallFile(path: string): Promise<string> {
  using file = await openCertificate(path);
  const bytes = new Uint8Array(MAX_CERTIFICATE_FILE_BYTES);
  return new TextDecoder().decode(bytes.subarray(0, await file.read(bytes) ?? 0));
}

async function openCertificate(path: string): Promise<Deno.FsFile> {
  try {
    return await Deno.open(path, { read: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new CulvertError("not_found", `Cannot read the certificate: ${path} must be its text or a file, got neither`);
  }
}

async function writeNewFile(path: string, text: string): Promise<void> {
  try {
    await Deno.writeTextFile(path, text, { createNew: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    throw new CulvertError("exists", `Cannot create ${path}: it exists already, and is never overwritten`);
  }
}

if (import.meta.main) Deno.exit(await runRole(role, Deno.args));

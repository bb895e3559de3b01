/**
 * `culvert peer share`: a ticket for a file or a folder of the peer that runs here, as one line and as a QR code. Whoever has
 * it may fetch that and nothing else, until it ends or is revoked.
 */

import { relative, resolve } from "@std/path";
import { z } from "zod";
import { hostPrimitives } from "../../net/host_primitives.ts";
import type { PeerConnection } from "../../net/peers/peer_connection.ts";
import { HttpRefusal } from "../../net/transfers/peer_http.ts";
import { RemoteFiles } from "../../net/transfers/remote_files.ts";
import { delay } from "../../protocol/clock.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { PAIR_BYTES } from "../../protocol/files/tree_hash.ts";
import { makeInvitation, MAX_INVITED_PEERS } from "../../protocol/peers/invitations.ts";
import { encodeTicket } from "../../protocol/peers/ticket.ts";
import { durationMs } from "../fields.ts";
import { defineRole, type Role, type RoleContext } from "../role.ts";
import { qrLines, qrModules } from "../wireguard/qr.ts";
import { INVITATION_KNOWN_MS, InvitationStore } from "./invitation_store.ts";
import { askPeer, type PeerReport } from "./peer_control.ts";

const YEAR_MS = 366 * 86_400_000;

const config = z.object({
  path: z.string().min(1).default("/").meta({ positional: true, placeholder: "path" })
    .describe("What to share: a path within the shared folder, or one of this machine that leads there; / is all."),
  for: durationMs("7d", { minMs: 1000, maxMs: 10 * YEAR_MS }).describe("How long it is good for."),
  uses: z.number().int().min(1).max(MAX_INVITED_PEERS).default(1).describe("How many peers may use it.").meta({
    placeholder: "peers",
  }),
  upload: z.boolean().default(false).describe("Whoever uses it may put files there as well."),
  qr: z.boolean().default(true).describe("Show the QR code, too."),
});
type Settings = z.output<typeof config>;

export const shareRole: Role<typeof config> = defineRole({
  name: "peer-share",
  summary: "Makes a ticket with which others fetch a file or a folder from here.",
  config,
  examples: [
    "culvert peer share films/holiday.mkv",
    "culvert peer share photos --for 30d --uses 10",
    "culvert peer share inbox --upload --no-qr",
  ],
  longRunning: false,
  async run(config, context) {
    const report = await askPeer(context);
    const path = await pathWithin(report.folder, config.path);
    if (config.upload && !report.card.capabilities.includes("upload")) {
      throw new CulvertError("bad_option", "Cannot share with --upload: the peer takes no files; run it with --upload");
    }
    const { isFile, root, size } = await sharedAt(report, path, context);
    const { secret, id, expiresAtMs } = await invite(path, config, context);
    const card = report.card;
    const ticket = encodeTicket(
      {
        ...{ card, path, invitation: secret, expiresAtMs },
        ...root !== undefined && { root },
        ...root !== undefined && size === PAIR_BYTES && { size },
      },
      hostPrimitives(),
    );
    if (context.json) return context.print(JSON.stringify({ ticket, id, path, root, expiresAtMs }));
    if (config.qr) showCode(ticket, context);
    context.print(ticket);
    context.tell(`Good for ${config.uses === 1 ? "one peer" : `${config.uses} peers`}: culvert peer get TICKET`);
    context.tell(`To take it back: culvert peer revoke ${id}`);
    if (isFile && root === undefined) {
      context.tell("The file is not in the index yet: the ticket does not say what it must be; make another one soon");
    }
    if (card.addresses.length + card.relays.length === 0) {
      context.tell("The peer can be reached by nobody yet: it has neither an address nor a relay");
    }
  },
});

interface Shared {
  readonly isFile: boolean;
  readonly root?: string | undefined;
  readonly size?: number;
}

/** What is meant by a path: something of this machine that lies in the shared folder, or a path from there. */
async function pathWithin(folder: string, text: string): Promise<string> {
  const here = await Deno.realPath(text).catch(() => undefined); // there is no such thing, or it is not ours to see
  if (here === folder || here?.startsWith(`${folder}/`)) return relative(folder, here);
  return relative("/", resolve("/", text.replace(/^\/+/, "")));
}

/**
 * What is there: a file, with its tree hash as far as the index has come, or a folder. Rejects with `not_found` when nothing of
 * that path is shared.
 */
async function sharedAt({ url, card }: PeerReport, path: string, { clock, signal }: RoleContext): Promise<Shared> {
  if (path === "") return { isFile: false };
  using own = new RemoteFiles({ peerId: card.peerId, clock, connect: () => Promise.resolve(doorOf(card.peerId, url)) });
  try {
    const content = await own.describe(path, signal);
    if (content) return { ...content, isFile: true };
    await own.folder(path, { limit: 1 }, signal);
    return { isFile: false };
  } catch (error) {
    if (error instanceof CulvertError && error.code === "unsettled") return { isFile: true };
    if (!(error instanceof HttpRefusal) || error.status !== 404) throw error;
    throw new CulvertError("not_found", `Cannot share ${path}: there is no such file or folder in what is shared`, {
      cause: error,
    });
  }
}

/** The owner's door on this machine. */
function doorOf(peerId: string, url: string): PeerConnection {
  const { port } = new URL(url);
  return {
    peerId,
    way: "direct",
    via: url,
    rttMs: undefined,
    isClosed: false,
    ended: Promise.resolve(),
    open: () => Deno.connect({ hostname: "127.0.0.1", port: Number(port) }),
    close() {},
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

async function invite(
  scope: string,
  { uses, upload, for: forMs }: Settings,
  context: RoleContext,
): Promise<{ readonly secret: string; readonly id: string; readonly expiresAtMs: number }> {
  const { random, clock } = context;
  const wallNowMs = clock.wallNow();
  const expiresAtMs = wallNowMs + forMs;
  const { invitation, secret } = makeInvitation(
    { scope, mayUpload: upload, expiresAtMs, maxPeers: uses },
    { random, primitives: hostPrimitives(), wallNowMs },
  );
  await (await InvitationStore.open(context)).add(invitation);
  // So that the ticket is good from when it is shown.
  await delay(clock, INVITATION_KNOWN_MS, context.signal);
  return { secret, id: invitation.id, expiresAtMs };
}

/** A ticket that is too long for a code is still a ticket. */
function showCode(ticket: string, { print, tell }: RoleContext): void {
  try {
    for (const line of qrLines(qrModules(ticket))) print(line);
  } catch (error) {
    if (!(error instanceof CulvertError)) throw error;
    tell("The ticket is too long for a QR code");
  }
}

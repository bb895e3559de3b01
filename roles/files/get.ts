/**
 * `culvert peer get`: a file or a whole folder of a peer, from as many sources as have it, checked piece by piece.
 */

import { join } from "@std/path";
import { z } from "zod";
import { fetchFile, type FetchTools } from "../../net/transfers/fetch_file.ts";
import { type FetchedFolder, fetchFolder } from "../../net/transfers/fetch_folder.ts";
import { FolderJournal } from "../../net/transfers/folder_journal.ts";
import { refusalOfName, shownName } from "../../net/transfers/local_names.ts";
import { isThere, PartFile } from "../../net/transfers/part_file.ts";
import type { RemoteFiles } from "../../net/transfers/remote_files.ts";
import { CulvertError, messageOf } from "../../protocol/errors.ts";
import { filePath } from "../fields.ts";
import { defineRole, type Role, type RoleContext } from "../role.ts";
import { bytesText, spanText } from "../table.ts";
import type { FoundPeer } from "./find_peer.ts";
import { networkFlags, type OpenNetwork, openNetwork } from "./open_network.ts";
import { Progress, type Screen } from "./progress.ts";
import { reportOutcome } from "./report_outcome.ts";
import { sharedPath, whoField } from "./peer_fields.ts";

const config = z.object({
  who: whoField().describe("A ticket, or whose it is."),
  path: sharedPath().optional().describe("A file or folder of theirs; / is all. That of the ticket unless given."),
  out: filePath().optional().describe("Where to; a folder, or what the file is to be called.").meta({
    defaultText: "its own name, here",
  }),
  from: z.array(z.string().min(1).meta({ placeholder: "peer" })).max(16).default([])
    .describe("Somebody else who may have the same."),
  overwrite: z.boolean().default(false).describe("Replace files that are here already."),
  forgive: z.boolean().default(false).describe("Take it also from those who have sent wrong bytes before."),
  ...networkFlags,
});
type Settings = z.output<typeof config>;

export const getRole: Role<typeof config> = defineRole({
  name: "peer-get",
  summary: "Fetches a file or a folder from a peer, and goes on where it was.",
  config,
  examples: [
    "culvert peer get CULVERT:AEAB…",
    "culvert peer get alice films/holiday.mkv --out ~/films/",
    "culvert peer get alice photos --from bob --from carol",
    "culvert peer get PEERID / --tracker https://tracker.example/",
  ],
  longRunning: false,
  run: (config, context) => runGet(config, context),
});

/** `screen` is where the bar is drawn. */
export async function runGet(config: Settings, context: RoleContext, screen?: Screen): Promise<void> {
  await using network = await openNetwork(config, { action: "run peer-get" }, context);
  const liars = new Map((await network.liars.list()).map((liar) => [liar.peerId, liar]));
  const isTrusted = ({ card: { peerId } }: FoundPeer) => config.forgive || !liars.has(peerId);
  const found = await network.find(config.who, context.signal);
  if (!isTrusted(found)) throw distrusted(found, liars.get(found.card.peerId)!.atMs);
  const path = config.path ?? found.path;
  if (path === undefined) {
    throw new CulvertError("bad_option", "Cannot fetch: after a peer there must be a path, such as films; / is all");
  }
  await using remotes = new AsyncDisposableStack();
  const source = remotes.use(network.remote(found));
  const others: RemoteFiles[] = [];
  for (const other of await findAll(config.from, network, context)) {
    if (other.card.peerId !== found.card.peerId && isTrusted(other)) others.push(remotes.use(network.remote(other)));
  }
  using progress = new Progress(context, screen);
  const told = new LiarsTold(network, progress, context);
  const tools = toolsOf(network, progress, told, context);
  try {
    const { root, size }: Pick<FoundPeer, "root" | "size"> = path === found.path ? found : {};
    const wish = { path, root, size, source, others, config };
    await context.tracing.run("transfer.get", {}, () => fetchAny(wish, tools, { progress, context }));
  } catch (error) {
    if (!context.signal.aborted) throw error;
    throw new CulvertError("interrupted", "Stopped: what has come is kept, and the same command goes on from there");
  } finally {
    await told.settle();
  }
  for (const [peerId, bytes] of progress.fetched) {
    if (told.has(peerId)) continue;
    await reportOutcome({ about: peerId, outcome: "ok", bytes, ms: progress.tookMs }, network, context);
  }
}

/** Those who can be found; the others are no reason not to fetch it. */
async function findAll(
  names: readonly string[],
  network: OpenNetwork,
  { signal, log }: RoleContext,
): Promise<readonly FoundPeer[]> {
  const found: FoundPeer[] = [];
  for (const who of names) {
    try {
      found.push(await network.find(who, signal));
    } catch (error) {
      signal.throwIfAborted();
      log.warn(messageOf(error));
    }
  }
  return found;
}

interface Wish {
  readonly path: string;
  /** What a ticket says that it is. */
  readonly root: string | undefined;
  readonly size: number | undefined;
  readonly source: RemoteFiles;
  readonly others: readonly RemoteFiles[];
  readonly config: Settings;
}

async function fetchAny(
  wish: Wish,
  tools: FetchTools,
  { progress, context }: { readonly progress: Progress; readonly context: RoleContext },
): Promise<void> {
  const { path, root, source, others, config: { overwrite, out: wanted } } = wish;
  const isFile = path !== "" && await isFileThere(wish, context.signal);
  const out = await placeFor(wish, { isFile });
  if (!isFile && wanted === undefined && !isTyped(wish)) await checkOurs(out);
  if (isFile) {
    const { size, root: found, wasHere } = await fetchFile(source, others, {
      path,
      out,
      overwrite,
      root,
      size: wish.size,
    }, tools);
    progress.event("done", { out, size, root: found, wasHere, ...endOf(wish, progress) });
    const how = found === undefined ? ", by the word of the peer alone: it is not in its index yet" : ", checked";
    return progress.say(
      wasHere ? `${out} is here already, the same` : `${out}  ${spent(progress)}${fromText(wish, progress)}${how}`,
    );
  }
  const folder = await fetchFolder(source, others, { path, out, overwrite }, tools);
  progress.event("done", { out, ...folder, ...endOf(wish, progress) });
  sayFolder(wish, out, { folder, progress });
  if (folder.leftOutCount > 0) {
    throw new CulvertError("incomplete", `Cannot fetch all of it: ${folder.leftOutCount} files were left out`);
  }
}

function sayFolder(
  wish: Wish,
  out: string,
  { folder, progress }: { readonly folder: FetchedFolder; readonly progress: Progress },
): void {
  const { files, wereHere, leftOut } = folder;
  const here = wereHere > 0 ? `, ${wereHere} of them were here already` : "";
  progress.result(`${out}  ${files} files${here}, ${spent(progress)}${fromText(wish, progress)}`);
  for (const { path, why } of leftOut) progress.result(`left out: ${path}: ${why}`);
}

/** How long it took, and what each source has brought. */
function endOf({ source, others }: Wish, { fetched, tookMs }: Progress) {
  const sources = [source, ...others].map(({ peerId, http: { way } }) => ({
    ...{ peerId, way },
    bytes: fetched.get(peerId) ?? 0,
  }));
  return { tookMs: Math.round(tookMs), sources };
}

/** Who has brought something, and how. */
function fromText({ source, others }: Wish, { fetched }: Progress): string {
  const names = [source, ...others].filter(({ peerId }) => fetched.has(peerId))
    .map(({ label, http: { way } }) => way === undefined ? label : `${label} (${way})`);
  return names.length === 0 ? "" : ` from ${names.join(", ")}`;
}

function spent({ fetchedBytes, tookMs }: Progress): string {
  const speed = bytesText(fetchedBytes * 1000 / Math.max(1, tookMs));
  return `${bytesText(fetchedBytes)} in ${spanText(tookMs)}, ${speed}/s`;
}

/** Of a peer that cannot be reached, what is known already says it: a ticket's hash, or a part of the file that is here. */
async function isFileThere(wish: Wish, signal: AbortSignal): Promise<boolean> {
  const { source, path, root } = wish;
  try {
    return await source.describe(path, signal) !== undefined;
  } catch (error) {
    signal.throwIfAborted();
    const isBeingWritten = error instanceof CulvertError && error.code === "unsettled";
    if (isBeingWritten || root !== undefined) return true;
    if (await PartFile.rootAt(await placeFor(wish, { isFile: true })) !== undefined) return true;
    throw error;
  }
}

/** Where it goes. A file goes into a folder that is there, or that is named with a slash. */
async function placeFor(wish: Wish, { isFile }: { readonly isFile: boolean }): Promise<string> {
  const { path, source: { label, peerId }, config: { out: wanted } } = wish;
  if (wanted !== undefined && !isFile) return wanted;
  const last = path === "" ? label : path.split("/").at(-1)!;
  const name = isTyped(wish) ? last : shownName(last);
  const own = refusalOfName(last) === undefined ? name : peerId;
  if (wanted === undefined) return own;
  if (wanted.endsWith("/")) {
    await Deno.mkdir(wanted, { recursive: true });
    return join(wanted, own);
  }
  const isFolder = await Deno.stat(wanted).then(({ isDirectory }) => isDirectory, () => false);
  return isFolder ? join(wanted, own) : wanted;
}

/** Whether the name it has here was typed by the user, not chosen by whoever made a ticket. */
function isTyped({ path, config }: Wish): boolean {
  return config.path !== undefined && path !== "";
}

/** Into a folder that is there nothing is fetched by a name that the user has not typed, unless it goes on there. */
async function checkOurs(folder: string): Promise<void> {
  if (!await isThere(folder) || await FolderJournal.isIn(folder)) return;
  throw new CulvertError("exists", `Cannot fetch to ${folder}: it is there already; name a place with --out`);
}

/** Those who have lied in this fetch: each is remembered, told to trackers and to people, once. */
class LiarsTold {
  readonly #network: OpenNetwork;
  readonly #progress: Progress;
  readonly #context: RoleContext;
  readonly #told = new Map<string, Promise<void>>();

  constructor(network: OpenNetwork, progress: Progress, context: RoleContext) {
    this.#network = network;
    this.#progress = progress;
    this.#context = context;
  }

  has(peerId: string): boolean {
    return this.#told.has(peerId);
  }

  tell(peerId: string): void {
    if (this.#told.has(peerId)) return;
    this.#progress.event("lied", { peerId });
    this.#progress.say(`${peerId} has sent wrong bytes: nothing is taken from it any more`);
    this.#told.set(peerId, this.#keep(peerId));
  }

  async settle(): Promise<void> {
    await Promise.all(this.#told.values());
  }

  async #keep(peerId: string): Promise<void> {
    const { fetched, tookMs } = this.#progress;
    const { log } = this.#context;
    await this.#network.liars.add(peerId, "bytes that are not those of the hash").catch((error) => {
      log.warn("Cannot write down that a peer has lied", { peer_id: peerId, error: messageOf(error) });
    });
    const report = { about: peerId, outcome: "lied", bytes: fetched.get(peerId) ?? 0, ms: tookMs } as const;
    await reportOutcome(report, this.#network, this.#context);
  }
}

function toolsOf(network: OpenNetwork, progress: Progress, told: LiarsTold, context: RoleContext): FetchTools {
  const { clock, random, signal } = context;
  const { sha256 } = network.parts.primitives;
  return { clock, random, sha256, signal, onLie: (peerId) => told.tell(peerId), ...progress.listeners };
}

function distrusted({ card: { peerId } }: FoundPeer, atMs: number): CulvertError {
  const day = new Date(atMs).toISOString().slice(0, 10);
  return new CulvertError(
    "liar",
    `Cannot fetch from ${peerId}: on ${day} it has sent wrong bytes. If you trust it again: --forgive`,
  );
}

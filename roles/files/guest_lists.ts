/**
 * Who may come in to a peer that runs: its lists of peers and its invitations, all followed while they change. A list that is
 * broken meanwhile leaves the one before, and the log says so once.
 */

import { CulvertError, messageOf } from "../../protocol/errors.ts";
import { GuestRules, type ListedPeer, parsePeerList } from "../../protocol/peers/guest_rules.ts";
import type { Primitives } from "../../protocol/primitives.ts";
import { ConfigError } from "../config.ts";
import { repeat } from "../repeating.ts";
import type { RoleContext } from "../role.ts";
import { InvitationStore } from "./invitation_store.ts";
import type { PeerSettings } from "./peer_settings.ts";

/** How soon somebody who was put on a list is known. */
const LOOK_MS = 1000;

export interface FollowedRules extends AsyncDisposable {
  readonly rules: GuestRules;
}

/** Reads the lists and follows them until disposed. Throws a ConfigError if one is of no use to begin with. */
export async function followRules(
  { allowFile, denyFile, open, upload }: PeerSettings,
  { context, primitives }: { readonly context: RoleContext; readonly primitives: Primitives },
): Promise<FollowedRules> {
  const { log } = context;
  const store = await InvitationStore.open(context);
  const rules = new GuestRules({
    primitives,
    isOpen: open,
    onUsed: (invitation) => {
      store.update(invitation).catch((error) => {
        log.warn("Cannot write down who has used an invitation", {
          invitation: invitation.id,
          error: messageOf(error),
        });
      });
    },
  });
  await using following = new AsyncDisposableStack();
  following.use(
    await followList(
      "--allow-file",
      allowFile,
      context,
      (peers) => rules.change({ allowed: uploaders(peers, upload) }),
    ),
  );
  following.use(
    await followList("--deny-file", denyFile, context, (peers) => rules.change({ denied: new Set(peers.keys()) })),
  );
  rules.change({ invitations: await store.list() });
  following.use(store.follow((invitations) => rules.change({ invitations }), context));
  const kept = following.move();
  return { rules, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

/** Nobody puts files where none are taken. */
function uploaders(peers: ReadonlyMap<string, ListedPeer>, takes: boolean): ReadonlyMap<string, ListedPeer> {
  return takes ? peers : new Map(Array.from(peers.keys(), (peerId) => [peerId, { mayUpload: false }]));
}

async function followList(
  flag: string,
  path: string | undefined,
  { clock, log }: Pick<RoleContext, "clock" | "log">,
  change: (peers: ReadonlyMap<string, ListedPeer>) => void,
): Promise<Disposable> {
  if (path === undefined) return { [Symbol.dispose]() {} };
  let text: string;
  try {
    text = await Deno.readTextFile(path);
    change(read(text, path));
  } catch (error) {
    throw new ConfigError("start peer", [`${flag} is of no use. ${messageOf(error)}`]);
  }
  return repeat({
    clock,
    everyMs: LOOK_MS,
    async look(signal) {
      const now = await Deno.readTextFile(path);
      if (signal.aborted || now === text) return;
      change(read(now, path));
      text = now;
      log.info("A list of peers was read again", { flag });
    },
    onProblem: (error) => log.warn("A list of peers could not be read: the one before stays", { flag, error }),
  });
}

function read(text: string, path: string): ReadonlyMap<string, ListedPeer> {
  const { peers, faults: [fault] } = parsePeerList(text);
  if (!fault) return peers;
  const rule = "each line must be a peer id, then `upload` or nothing";
  throw new CulvertError(
    "bad_list",
    `Cannot read ${path}: ${rule}, got ${JSON.stringify(fault.text)} in line ${fault.line}`,
  );
}

/**
 * What has happened between two looks at a network, in lines for people.
 *
 *   Snapshot ─┬▶ what matters of it, compared with what mattered before ─┬▶ happenings ─▶ those alike folded ─▶ lines
 *             └▶ its sessions (`session_changes.ts`) ────────────────────┘               (`happenings.ts`)
 */

import type { LogLine } from "./api.ts";
import type { NewLine } from "./event_log.ts";
import { type Happening, linesOf, plural } from "./happenings.ts";
import { SessionTeller } from "./session_changes.ts";
import { labelOf, labelOfId, type NodeState, type Snapshot, stateOfPeer, stateOfSupernode } from "./snapshot.ts";

interface Mark {
  readonly label: string;
  /** What it is: a role, a supernode, a part, a link. */
  readonly what: string;
  readonly state: NodeState | undefined;
}

type Marks = ReadonlyMap<string, Mark>;

export class ChangeTeller {
  #before: Marks | undefined;
  readonly #sessions = new SessionTeller();

  /** What has happened since it was last asked; the first time there is nothing to compare with. */
  tell(snapshot: Snapshot): NewLine[] {
    const { atMs } = snapshot;
    const before = this.#before;
    const things = thingsOf(snapshot);
    const sessions = this.#sessions.tell(snapshot);
    this.#before = things;
    if (!before) return [{ atMs, tone: "info", text: firstLine(snapshot) }];
    return linesOf([...thingsThatHappened(before, things), ...sessions], atMs);
  }
}

function firstLine({ supernodes, peers, sessions }: Snapshot): string {
  const counts = [[supernodes.length, "supernode"], [peers.length, "peer"], [sessions.length, "session"]] as const;
  return `Watching ${counts.map(([count, what]) => plural(count, what)).join(", ")}`;
}

function thingsOf(snapshot: Snapshot): Marks {
  const things = new Map<string, Mark>();
  for (const supernode of snapshot.supernodes) {
    const { supernodeId, name } = supernode;
    things.set(supernodeId, {
      label: labelOf(name, supernodeId),
      what: "supernode",
      state: stateOfSupernode(supernode, snapshot),
    });
  }
  for (const peer of snapshot.peers) {
    const { peerId, name, role } = peer;
    things.set(peerId, { label: labelOf(name, peerId), what: role, state: stateOfPeer(peer, snapshot) });
  }
  for (const { name, isRunning } of snapshot.parts) {
    things.set(`part ${name}`, { label: labelOf(name, name), what: "part", state: isRunning ? "good" : "gone" });
  }
  for (const { from, to } of snapshot.links) {
    const label = `${labelOfId(from, snapshot)} and ${labelOfId(to, snapshot)}`;
    things.set(`link ${from} ${to}`, { label, what: "link", state: undefined });
  }
  for (const id of snapshot.blocked) {
    things.set(`blocked ${id}`, { label: labelOfId(id, snapshot), what: "block", state: undefined });
  }
  return things;
}

function* thingsThatHappened(before: Marks, now: Marks): Generator<Happening> {
  for (const [id, mark] of now) {
    const last = before.get(id);
    if (!last) yield cameOf(mark);
    else if (last.state !== mark.state && !isShutOut(last) && !isShutOut(mark)) yield turnedOf(mark, last.state);
  }
  for (const [id, mark] of before) if (!now.has(id)) yield wentOf(mark);
}

/** The block itself is told. */
function isShutOut({ state }: Mark): boolean {
  return state === "blocked";
}

function cameOf({ what, label }: Mark): Happening {
  if (what === "link") {
    return {
      tone: "good",
      text: `${label} are linked`,
      together: (count) => `${count} links between supernodes opened`,
    };
  }
  if (what === "block") {
    return { tone: "warn", text: `${label} is shut out`, together: (count) => `${count} peers are shut out` };
  }
  const tone = isServing(what) ? "good" : "info";
  return { tone, text: `${titled(what)} ${label} came`, together: (count) => `${plural(count, what)} came` };
}

function wentOf({ what, label }: Mark): Happening {
  if (what === "link") {
    return {
      tone: "warn",
      text: `The link between ${label} ended`,
      together: (count) => `${count} links between supernodes ended`,
    };
  }
  if (what === "block") {
    return {
      tone: "info",
      text: `${label} is shut out no more`,
      together: (count) => `${count} peers are shut out no more`,
    };
  }
  const tone = isServing(what) ? "warn" : "info";
  return { tone, text: `${titled(what)} ${label} went`, together: (count) => `${plural(count, what)} went` };
}

const TURNS: Readonly<Record<NodeState, { readonly tone: LogLine["tone"]; readonly says: string }>> = {
  good: { tone: "good", says: "well again" },
  draining: { tone: "warn", says: "draining" },
  failing: { tone: "bad", says: "failing" },
  silent: { tone: "bad", says: "silent" },
  gone: { tone: "bad", says: "down" },
  blocked: { tone: "warn", says: "shut out" },
};

/** It is in another state than it was. */
function turnedOf({ what, label, state = "good" }: Mark, last: NodeState | undefined): Happening {
  const { tone, says } = TURNS[state];
  const now = what === "part" && last === "gone" ? "up again" : says;
  return {
    tone,
    text: `${titled(what)} ${label} is ${now}`,
    together: (count) => `${plural(count, what)} are ${now}`,
  };
}

function isServing(what: string): boolean {
  return what !== "client" && what !== "part";
}

function titled(what: string): string {
  return what.charAt(0).toUpperCase() + what.slice(1);
}

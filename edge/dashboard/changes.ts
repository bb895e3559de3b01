/**
 * What has happened between two looks at a network, in lines for people.
 *
 *   Snapshot ─▶ what matters of it, compared with what mattered before ─▶ happenings ─▶ those alike folded ─▶ lines
 *
 * Few things are told one by one, many alike as one line: "214 clients came". So a look gives a bounded number of lines, whatever
 * has become of the network.
 */

import type { LogLine } from "./api.ts";
import type { NewLine } from "./event_log.ts";
import { labelOf, labelOfId, type NodeState, type Snapshot, stateOfPeer, stateOfSupernode } from "./snapshot.ts";

/** So many alike are told one by one. */
const MAX_ALIKE = 4;

interface Mark {
  readonly label: string;
  /** What it is: a role, a supernode, a part, a link. */
  readonly what: string;
  readonly state: NodeState | undefined;
}

interface SessionMark {
  readonly client: string;
  readonly exitPeerId: string | undefined;
  readonly exit: string;
  readonly previousSessionId: string | undefined;
  /** The exit of the session whose place it took. */
  readonly from: string | undefined;
}

interface Marks {
  readonly things: ReadonlyMap<string, Mark>;
  readonly sessions: ReadonlyMap<string, SessionMark>;
}

/** One thing that happened; those of one kind may be told together. */
interface Happening {
  readonly tone: LogLine["tone"];
  readonly text: string;
  /** The same of several of them. */
  readonly together: (count: number) => string;
}

export class ChangeTeller {
  #before: Marks | undefined;

  /** What has happened since it was last asked; the first time there is nothing to compare with. */
  tell(snapshot: Snapshot): NewLine[] {
    const before = this.#before;
    const marks = { things: thingsOf(snapshot), sessions: sessionsOf(snapshot, before?.sessions) };
    this.#before = marks;
    if (!before) return [{ atMs: snapshot.atMs, tone: "info", text: firstLine(snapshot) }];
    const happenings = [
      ...thingsThatHappened(before.things, marks.things),
      ...sessionsThatMoved(before.sessions, marks.sessions),
    ];
    return folded(happenings).map(({ tone, text }) => ({ atMs: snapshot.atMs, tone, text }));
  }
}

function firstLine({ supernodes, peers, sessions }: Snapshot): string {
  const counts = [[supernodes.length, "supernode"], [peers.length, "peer"], [sessions.length, "session"]] as const;
  return `Watching ${counts.map(([count, what]) => plural(count, what)).join(", ")}`;
}

function thingsOf(snapshot: Snapshot): Marks["things"] {
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

function sessionsOf(snapshot: Snapshot, before: Marks["sessions"] | undefined): Marks["sessions"] {
  const sessions = new Map<string, SessionMark>();
  for (const { sessionId, clientPeerId, exitPeerId, previousSessionId } of snapshot.sessions) {
    const last = before?.get(sessionId);
    if (last && last.exitPeerId === exitPeerId) {
      // Its exit may be gone by now, and with it what it was called.
      sessions.set(sessionId, last);
      continue;
    }
    sessions.set(sessionId, {
      client: last?.client ?? labelOfId(clientPeerId, snapshot),
      exitPeerId,
      exit: exitPeerId === undefined ? "no exit" : labelOfId(exitPeerId, snapshot),
      previousSessionId,
      from: last?.from ?? (previousSessionId === undefined ? undefined : before?.get(previousSessionId)?.exit),
    });
  }
  return sessions;
}

function* thingsThatHappened(
  before: ReadonlyMap<string, Mark>,
  now: ReadonlyMap<string, Mark>,
): Generator<Happening> {
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

/** Sessions that began, ended, or go on at another exit, under the same id or one of their own. */
function* sessionsThatMoved(before: Marks["sessions"], now: Marks["sessions"]): Generator<Happening> {
  const replaced = new Set<string | undefined>();
  for (const [id, mark] of now) {
    replaced.add(mark.previousSessionId);
    const last = before.get(id);
    if (mark.exitPeerId === undefined || last?.exitPeerId === mark.exitPeerId) continue;
    const from = last?.exitPeerId === undefined ? mark.from : last.exit;
    yield from === undefined ? beganAt(mark) : movedTo(mark, from);
  }
  for (const [id, mark] of before) if (!now.has(id) && !replaced.has(id)) yield endedOf(mark);
}

function beganAt({ client, exit }: SessionMark): Happening {
  return {
    tone: "info",
    text: `A session of ${client} began at ${exit}`,
    together: (count) => `${count} sessions began`,
  };
}

function movedTo({ client, exit }: SessionMark, from: string): Happening {
  return {
    tone: "good",
    text: `The session of ${client} moved from ${from} to ${exit}`,
    together: (count) => `${count} sessions moved to another exit`,
  };
}

function endedOf({ client, exit }: SessionMark): Happening {
  return {
    tone: "info",
    text: `The session of ${client} at ${exit} ended`,
    together: (count) => `${count} sessions ended`,
  };
}

/** What there is too much of to be told one by one is told as one, in the place of its first. */
function folded(happenings: Iterable<Happening>): Pick<NewLine, "tone" | "text">[] {
  const alike = Map.groupBy(happenings, ({ together }) => together(2));
  return [...alike.values()].flatMap((each) =>
    each.length <= MAX_ALIKE ? each : [{ tone: each[0]!.tone, text: each[0]!.together(each.length) }]
  );
}

function isServing(what: string): boolean {
  return what !== "client" && what !== "part";
}

function titled(what: string): string {
  return what.charAt(0).toUpperCase() + what.slice(1);
}

function plural(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}

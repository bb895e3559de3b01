/**
 * What has become of sessions between two looks: which began, ended, or go on at another exit.
 *
 *   one that goes on    ◀─ the same id with another exit, or another session that says whose place it takes,
 *                          or one of the same client and kind that began no later than at the look after the end
 *   one that has ended  ◀─ no other took its place until then: so an end is told one look late
 *
 * Only sessions that an exit serves count: while another is being set up, the one that is there goes on.
 */

import type { Happening } from "./happenings.ts";
import type { SessionFacts } from "./inventory.ts";
import { labelOfId, type Snapshot } from "./snapshot.ts";

/** Looks that are further apart do not show what took whose place, unless it says so. */
const MAX_GAP_MS = 120_000;

interface ExitMark {
  readonly peerId: string;
  readonly label: string;
}

interface SessionMark {
  /** Whose it is and what it carries: others of the same client have nothing to do with it. */
  readonly kind: string;
  readonly client: string;
  readonly exit: ExitMark;
  /** The session that has taken its place: its own end is nothing to tell. */
  readonly replacedBy: string | undefined;
}

type ServedSession = SessionFacts & { readonly exitPeerId: string };

/** A session that is seen for the first time, or at another exit than before. */
interface Fresh {
  readonly session: ServedSession;
  readonly mark: SessionMark;
  /** What it was before. */
  readonly last: SessionMark | undefined;
}

export class SessionTeller {
  #atMs = -Infinity;
  #now = new Map<string, SessionMark>();
  /** Those that were gone at the last look, and nobody has been told. */
  #gone = new Map<string, SessionMark>();

  /** What has happened since it was last asked; the first time all of them have begun. */
  tell(snapshot: Snapshot): Happening[] {
    const isLongAgo = snapshot.atMs - this.#atMs > MAX_GAP_MS;
    const [before, goneBefore] = [this.#now, this.#gone];
    const fresh = this.#take(snapshot);
    const vanished = new Map<string, SessionMark>();
    for (const marks of [goneBefore, before]) {
      for (const [id, mark] of marks) {
        if (mark.replacedBy === undefined && !this.#now.has(id)) vanished.set(id, mark);
      }
    }
    const places = new FreePlaces((id) => before.get(id) ?? goneBefore.get(id), isLongAgo ? [] : vanished, fresh);
    const begun = fresh.map(({ session, mark, last }) => begunOf(mark, (last ?? places.take(session))?.exit));
    for (const [id, replacedBy] of places.takenBy) {
      vanished.delete(id);
      const mark = this.#now.get(id);
      if (mark) this.#now.set(id, { ...mark, replacedBy });
    }
    const ended: Happening[] = [];
    this.#gone = new Map();
    for (const [id, mark] of vanished) {
      if (isLongAgo || goneBefore.has(id)) ended.push(endedOf(mark));
      else this.#gone.set(id, mark);
    }
    begun.push(...takenBack(snapshot, this.#now, this.#gone));
    this.#atMs = snapshot.atMs;
    return [...ended, ...begun];
  }

  /** Marks what there is now, and gives what is fresh of it. */
  #take(snapshot: Snapshot): Fresh[] {
    const now = new Map<string, SessionMark>();
    const fresh: Fresh[] = [];
    for (const session of snapshot.sessions) {
      if (!isServed(session)) continue;
      const { sessionId, exitPeerId } = session;
      const last = this.#now.get(sessionId) ?? this.#gone.get(sessionId);
      // Its exit may be gone by now, and with it what it was called.
      const mark = last?.exit.peerId === exitPeerId ? last : markOf(session, snapshot);
      now.set(sessionId, mark);
      if (mark !== last) fresh.push({ session, mark, last });
    }
    this.#now = now;
    return fresh;
  }
}

/** Sessions that go on after all, since the one that had taken their place is gone: a client has refused to move, say. */
function* takenBack(
  { sessions }: Snapshot,
  now: Map<string, SessionMark>,
  gone: Map<string, SessionMark>,
): Generator<Happening> {
  for (const { sessionId, state } of sessions) {
    // One that is still being left is `rotating`, and goes as well.
    const mark = state === "active" ? now.get(sessionId) : undefined;
    if (mark?.replacedBy === undefined || now.has(mark.replacedBy)) continue;
    const back = { ...mark, replacedBy: undefined };
    now.set(sessionId, back);
    const from = gone.get(mark.replacedBy)?.exit;
    gone.delete(mark.replacedBy);
    if (from) yield begunOf(back, from);
  }
}

function isServed(session: SessionFacts): session is ServedSession {
  return (session.state === "active" || session.state === "rotating") && session.exitPeerId !== undefined;
}

function kindOf({ clientPeerId, carries, isStatic = false }: SessionFacts): string {
  return `${clientPeerId} ${carries} ${isStatic}`;
}

function markOf(session: ServedSession, snapshot: Snapshot): SessionMark {
  const { clientPeerId, exitPeerId } = session;
  return {
    kind: kindOf(session),
    client: labelOfId(clientPeerId, snapshot),
    exit: { peerId: exitPeerId, label: labelOfId(exitPeerId, snapshot) },
    replacedBy: undefined,
  };
}

/** Sessions whose place another may take: any by its id, and those that have vanished by their kind, each of them once. */
class FreePlaces {
  /** Whose place was taken, and by which. */
  readonly takenBy = new Map<string, string>();
  readonly #known: (sessionId: string) => SessionMark | undefined;
  readonly #byKind: ReadonlyMap<string, [string, SessionMark][]>;

  constructor(
    known: (sessionId: string) => SessionMark | undefined,
    vanished: Iterable<[string, SessionMark]>,
    fresh: readonly Fresh[],
  ) {
    this.#known = known;
    const named = new Set(fresh.map(({ session }) => session.previousSessionId));
    this.#byKind = Map.groupBy([...vanished].filter(([id]) => !named.has(id)), ([, { kind }]) => kind);
  }

  take(session: ServedSession): SessionMark | undefined {
    const { sessionId, previousSessionId } = session;
    // Also of one that is seen for the first time itself, as when the first look falls into a move.
    if (previousSessionId !== undefined) this.takenBy.set(previousSessionId, sessionId);
    const named = this.#known(previousSessionId ?? "");
    if (named) return named;
    const [id, mark] = this.#byKind.get(kindOf(session))?.pop() ?? [];
    if (id !== undefined) this.takenBy.set(id, sessionId);
    return mark;
  }
}

function begunOf({ client, exit }: SessionMark, from: ExitMark | undefined): Happening {
  if (!from) return beganAt(client, exit);
  return from.peerId === exit.peerId ? beganAnewAt(client, exit) : movedTo(client, from, exit);
}

function beganAt(client: string, exit: ExitMark): Happening {
  return {
    tone: "info",
    text: `A session of ${client} began at ${exit.label}`,
    together: (count) => `${count} sessions began`,
  };
}

function beganAnewAt(client: string, exit: ExitMark): Happening {
  return {
    tone: "info",
    text: `The session of ${client} at ${exit.label} began anew`,
    together: (count) => `${count} sessions began anew`,
  };
}

function movedTo(client: string, from: ExitMark, exit: ExitMark): Happening {
  return {
    tone: "good",
    text: `The session of ${client} moved from ${from.label} to ${exit.label}`,
    together: (count) => `${count} sessions moved to another exit`,
  };
}

function endedOf({ client, exit }: SessionMark): Happening {
  return {
    tone: "info",
    text: `The session of ${client} at ${exit.label} ended`,
    together: (count) => `${count} sessions ended`,
  };
}

/**
 * What has become of sessions between two looks: which began, ended, or go on at another exit.
 *
 *   one that goes on    ◀─ the same id with another exit, or another session that says whose place it takes,
 *                          or one of the same client that began no later than at the look after the end
 *   one that has ended  ◀─ no other took its place until then: so an end is told one look late
 */

import type { Happening } from "./happenings.ts";
import type { SessionFacts } from "./inventory.ts";
import { labelOfId, type Snapshot } from "./snapshot.ts";

interface ExitMark {
  readonly peerId: string;
  readonly label: string;
}

interface SessionMark {
  readonly clientPeerId: string;
  readonly client: string;
  readonly exit: ExitMark | undefined;
  /** The session whose place it took. */
  readonly previousSessionId: string | undefined;
  /** Where that one was. */
  readonly from: ExitMark | undefined;
}

type Marks = ReadonlyMap<string, SessionMark>;

export class SessionTeller {
  #now: Marks = new Map();
  /** What was there before the last look and was not at it, and nobody has been told of. */
  #ended: Marks = new Map();

  /** What has happened since it was last asked; the first time all of them have begun. */
  tell(snapshot: Snapshot): { readonly ofTheLookBefore: Happening[]; readonly ofThisLook: Happening[] } {
    const before = this.#now;
    const endedBefore = this.#ended;
    const now = marksOf(snapshot, before, endedBefore);
    const replaced = new Set(now.values().map(({ previousSessionId }) => previousSessionId));
    const isOver = ([id]: [string, SessionMark]) => !now.has(id) && !replaced.has(id);
    this.#now = now;
    this.#ended = new Map([...before].filter(isOver));
    return {
      ofTheLookBefore: [...endedBefore].filter(isOver).map(([, mark]) => endedOf(mark)),
      ofThisLook: [...sessionsThatMoved(before, now)],
    };
  }
}

function marksOf(snapshot: Snapshot, before: Marks, ended: Marks): Marks {
  const places = new FreePlaces(snapshot, [...ended, ...before]);
  const marks = new Map<string, SessionMark>();
  for (const session of snapshot.sessions) {
    const { sessionId, clientPeerId, exitPeerId } = session;
    const last = before.get(sessionId);
    if (last && last.exit?.peerId === exitPeerId) {
      // Its exit may be gone by now, and with it what it was called.
      marks.set(sessionId, last);
      continue;
    }
    const previous = last ? undefined : places.take(session);
    marks.set(sessionId, {
      clientPeerId,
      client: last?.client ?? labelOfId(clientPeerId, snapshot),
      exit: exitPeerId === undefined ? undefined : { peerId: exitPeerId, label: labelOfId(exitPeerId, snapshot) },
      previousSessionId: last?.previousSessionId ?? previous?.[0] ?? session.previousSessionId,
      from: last?.exit ?? last?.from ?? previous?.[1].exit ?? previous?.[1].from,
    });
  }
  return marks;
}

/** Sessions whose place another may take: any by its id, and those that are over by who their client was, each of them once. */
class FreePlaces {
  readonly #known: Marks;
  readonly #over: ReadonlyMap<string, [string, SessionMark][]>;

  constructor({ sessions }: Snapshot, known: Iterable<[string, SessionMark]>) {
    this.#known = new Map(known);
    const spoken = new Set(sessions.flatMap(({ sessionId, previousSessionId }) => [sessionId, previousSessionId]));
    const over = [...this.#known].filter(([id]) => !spoken.has(id));
    this.#over = Map.groupBy(over, ([, { clientPeerId }]) => clientPeerId);
  }

  take({ clientPeerId, previousSessionId }: SessionFacts): [string, SessionMark] | undefined {
    const named = previousSessionId === undefined ? undefined : this.#known.get(previousSessionId);
    if (named) return [previousSessionId!, named];
    return this.#over.get(clientPeerId)?.pop();
  }
}

function* sessionsThatMoved(before: Marks, now: Marks): Generator<Happening> {
  for (const [id, { client, exit, from }] of now) {
    if (!exit || before.get(id)?.exit?.peerId === exit.peerId) continue;
    if (!from) yield beganAt(client, exit);
    else yield from.peerId === exit.peerId ? beganAnewAt(client, exit) : movedTo(client, from, exit);
  }
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
    text: `The session of ${client} at ${exit?.label ?? "no exit"} ended`,
    together: (count) => `${count} sessions ended`,
  };
}

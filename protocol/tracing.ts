/**
 * What a part may tell of a deed that takes time: a span, with a name from the one list here and a few facts. Spans within
 * each other are linked as long as they are in one process; nobody passes a trace on to another machine, or whoever watches
 * two of them could tell who visits what. Deeds that belong together elsewhere have the same `session_id` or `command_id`.
 *
 *   run(name, facts, work) ─▶ work … ─▶ how it ended ("ok", or the code of what went wrong) ─▶ `roles/tracing.ts`
 *
 * The facts are these alone: no host that is visited, no address, no key and no message of an error has a place among them.
 */

import { CulvertError } from "./errors.ts";

/** Every span of ours. docs/observability.md has them too. */
export const spanNames = {
  "proxy.dial": "A program has asked the local proxy for a host, until it is connected or told why not",
  "path.dial": "One path of those given opens a stream; way says which kind",
  "session.setup": "A client asks its supernode for an exit, until it may use one",
  "session.grant": "A supernode finds a client an exit and has it set up",
  "command.push": "A supernode orders a peer something, until it answers",
  "command.apply": "A peer carries a command out",
  "circuit.build": "A circuit is built over relays to a gateway",
  "transfer.get": "A file or a folder is fetched from peers, until it is whole",
  "http.request": "A request to a role's API, until its answer begins",
} as const;
/** The name of one. */
export type SpanName = keyof typeof spanNames;

/** What is told of a span, beside how it ended. */
export interface SpanFacts {
  /** Of a session that has one by then. */
  readonly session_id?: string | undefined;
  /** Of a command. */
  readonly command_id?: string | undefined;
  /** Which command. */
  readonly kind?: string;
  /** The beginning of a path's URL, such as "tunnel+wss". */
  readonly way?: string;
  /** Of a request. */
  readonly method?: string;
  /** The first two parts of a URL's path, which are words of ours. */
  readonly route?: string;
  /** Of an answer. */
  readonly status?: number;
}

/** A deed that is being done. */
export interface Span {
  /** Adds what became known meanwhile. */
  add(facts: SpanFacts): void;
  /** It went wrong, though nothing was thrown; the code is from a fixed set. */
  fail(code: string): void;
}

/** Whoever is told of deeds. */
export interface Tracing {
  /** Whether anybody listens. */
  readonly isOn: boolean;
  /** Does the work within a span, and gives what it gives. */
  run<T>(name: SpanName, facts: SpanFacts, work: (span: Span) => Promise<T>): Promise<T>;
}

const nothing: Span = { add() {}, fail() {} };

/** Tells nobody. */
export const noTracing: Tracing = { isOn: false, run: (_name, _facts, work) => work(nothing) };

/** What is told of an error: its code, never its message, which may name a host. */
export function codeOfError(error: unknown): string {
  if (error instanceof CulvertError) return error.code;
  return error instanceof Error && error.name === "AbortError" ? "aborted" : "error";
}

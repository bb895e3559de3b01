/**
 * What a stream of either GFK dialect begins with, for both ends, over whatever carries the streams. What it means and its
 * bytes: `protocol/gfk/`.
 */

import { CulvertError, DialError, type DialFailure } from "../../protocol/errors.ts";
import { encodeGoRequest, GoReply, goStreamKey, parseGoRequest } from "../../protocol/gfk/go_stream.ts";
import {
  DEFAULT_PY_AUTH,
  encodePyReady,
  encodePyRequest,
  isPyAuth,
  MAX_PY_HEADER_BYTES,
  parsePyRequest,
} from "../../protocol/gfk/py_stream.ts";
import { readFull, type Stream, type Target, writeAll } from "../../protocol/stream.ts";

/** The name by which a dial means the server's backend. */
export const BACKEND_HOST = "backend.invalid";

export interface Asked {
  readonly network: "tcp" | "udp" | "hello";
  /** Absent: the backend. */
  readonly host?: string;
  readonly port: number;
  /** What the client has sent behind its header already. */
  readonly rest: Uint8Array;
}

export interface GfkDialect {
  readonly name: "gfk-py" | "gfk-go";
  /** Datagrams have their lengths before them. */
  readonly framesDatagrams: boolean;
  /** The client: asks, and settles when it is open. Rejects with a DialError. */
  ask(stream: Stream, network: "tcp" | "udp", target: Target): Promise<void>;
  /** The client: is anyone there who knows the secret? Undefined where there is no such question. */
  hello?(stream: Stream): Promise<void>;
  /** The server: what is asked for; undefined when that makes no sense or comes from nobody known. */
  listen(stream: Stream): Promise<Asked | undefined>;
  /** The server: it is open. */
  open(stream: Stream, asked: Asked): Promise<void>;
  /** The server: it is not. */
  refuse(stream: Stream, failure: DialFailure): Promise<void>;
}

/** Throws for a secret that headers cannot carry. */
export function pyDialect(secret: string = DEFAULT_PY_AUTH): GfkDialect {
  if (!isPyAuth(secret)) {
    throw new CulvertError("bad_option", "Cannot speak gfk-py: the secret must be 1 to 256 printable ASCII characters");
  }
  const ready = encodePyReady(secret);
  return {
    name: "gfk-py",
    framesDatagrams: false,
    async ask(stream, network, { host, port }) {
      if (host !== BACKEND_HOST) {
        throw new DialError("unsupported", `gfk-py leads to the server's backend alone: dial ${BACKEND_HOST}`);
      }
      await writeAll(stream, encodePyRequest(secret, { network, port }));
      if (network === "udp") return; // there is no answer
      const answer = new Uint8Array(ready.length);
      if (!await readFull(stream, answer)) {
        throw new DialError(
          "failed",
          `The server did not open port ${port}: it does not say why, or the secret is wrong`,
        );
      }
      if (!answer.every((byte, at) => byte === ready[at])) throw new DialError("failed", "The answer is not gfk-py's");
    },
    async listen(stream) {
      const held = new Uint8Array(MAX_PY_HEADER_BYTES);
      for (let filled = 0; filled < held.length;) {
        const count = await stream.read(held.subarray(filled));
        if (count === null) return undefined;
        filled += count;
        const parsed = parsePyRequest(held.subarray(0, filled), secret);
        if (parsed.status === "bad") return undefined;
        if (parsed.status === "done") return { ...parsed.value, rest: held.subarray(parsed.length, filled) };
      }
      return undefined;
    },
    async open(stream, { network }) {
      if (network === "tcp") await writeAll(stream, ready);
    },
    refuse: () => Promise.resolve(),
  };
}

const HEAD_BYTES = 34;

const REFUSALS: Readonly<Record<number, [DialFailure, string]>> = {
  [GoReply.auth]: ["unauthorized", "The server does not know our secret"],
  [GoReply.dial]: ["failed", "The server could not connect"],
  [GoReply.malformed]: ["denied", "The server does not allow that target"],
};

export function goDialect(secret: string): GfkDialect {
  const key = goStreamKey(secret);
  async function ask(stream: Stream, command: "tcp" | "udp" | "hello", { host, port }: Target): Promise<void> {
    const header = encodeGoRequest(key, { command, port, ...host !== BACKEND_HOST && { host } });
    if (!header) throw new DialError("unresolved", "Cannot dial: the host name must be 1 to 255 bytes");
    await writeAll(stream, header);
    const reply = new Uint8Array(1);
    if (!await readFull(stream, reply)) throw new DialError("failed", "The server ended the stream without an answer");
    if (reply[0] === GoReply.ok) return;
    const [failure, message] = REFUSALS[reply[0]!] ?? ["failed", `The server answered ${reply[0]}`];
    throw new DialError(failure, message); // without where to: logs and readiness may show it
  }
  const reply = (stream: Stream, status: number) => writeAll(stream, Uint8Array.of(status));
  return {
    name: "gfk-go",
    framesDatagrams: true,
    ask,
    hello: (stream) => ask(stream, "hello", { host: BACKEND_HOST, port: 0 }),
    async listen(stream) {
      let held = new Uint8Array(HEAD_BYTES);
      if (!await readFull(stream, held)) return undefined;
      const bodyBytes = held[HEAD_BYTES - 2]! << 8 | held[HEAD_BYTES - 1]!;
      const short = parseGoRequest(held, key);
      if (short.status === "bad") return void await reply(stream, GoReply.malformed);
      const whole = new Uint8Array(HEAD_BYTES + bodyBytes);
      whole.set(held);
      if (!await readFull(stream, whole.subarray(HEAD_BYTES))) return undefined;
      held = whole;
      const parsed = parseGoRequest(held, key);
      if (parsed.status !== "done") return undefined;
      if ("refused" in parsed.value) return void await reply(stream, parsed.value.refused);
      const { command: network, host, port } = parsed.value.request;
      return { network, port, rest: new Uint8Array(0), ...host !== undefined && { host } };
    },
    open: (stream) => reply(stream, GoReply.ok),
    refuse: (stream, failure) => reply(stream, failure === "denied" ? GoReply.malformed : GoReply.dial),
  };
}

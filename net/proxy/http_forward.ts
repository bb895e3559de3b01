/**
 * Plain HTTP through the proxy: one exchange after another on a client's connection, RFC 9112.
 *
 *   client  ── head, body ──▶  origin        the body goes up while the answer comes down, so an origin
 *           ◀─ 1xx…, head, body ──           may answer early, or ask for the body with 100
 *
 * The connection to the origin is kept for the client's next request if both sides left it clean and the next request
 * goes to the same place. If it turns out to be gone, a request that is safe to repeat is sent again on a new one.
 * A body whose end is the end of the connection is sent on in chunks, so that a cut answer cannot pass for a whole one.
 */

import { dialFailureOf } from "../../protocol/errors.ts";
import { type Framing, responseFraming } from "../../protocol/http_body.ts";
import {
  encodeRequestHead,
  encodeResponseHead,
  parseResponseHead,
  type RequestHead,
  type ResponseHead,
  tokensOf,
} from "../../protocol/http_head.ts";
import {
  type AbsoluteForm,
  forwardRequestFields,
  forwardResponseFields,
  persists,
  upgradeOf,
} from "../../protocol/http_proxy.ts";
import { formatTarget, type Path, type Stream, writeAll } from "../../protocol/stream.ts";
import { closeQuietly } from "../close.ts";
import type { Client } from "./client.ts";
import { BodyError, carryBody } from "./http_body.ts";
import { Inbox } from "./inbox.ts";
import type { Ingress } from "./ingress.ts";

export interface ForwardRequest {
  readonly head: RequestHead;
  readonly form: AbsoluteForm;
  readonly framing: Framing;
}

/**
 * "next": another request may follow. "end": close at once. "linger": all is said, but the client may still be sending.
 * Otherwise what to tell the client: why the dial failed, what was wrong with the answer, or with the request's body.
 */
export type ForwardOutcome =
  | "next"
  | "end"
  | "linger"
  | { readonly error: unknown }
  | { readonly proxyError: string }
  | { readonly badBody: string };

/** Methods that change nothing, so that asking twice is asking once (RFC 9110 §9.2.1). */
const safeMethods: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "TRACE"]);

interface Origin {
  /** Host and port, to tell whether the next request goes to the same place. */
  readonly name: string;
  /** The client's own when it was dialled: another account must not speak on it. */
  readonly path: Path | undefined;
  readonly stream: Stream;
  readonly inbox: Inbox;
}

/** The sending of one request, which goes on while its answer comes. */
interface Upload {
  state: "sending" | "done" | "origin_failed" | "client_gone" | "bad_body";
  /** Settles when the state is no longer "sending". Never rejects. */
  readonly ended: Promise<void>;
}

export class HttpForwarder implements Disposable {
  readonly #client: Client;
  readonly #ingress: Ingress;
  #origin: Origin | undefined;

  constructor(client: Client, ingress: Ingress) {
    this.#client = client;
    this.#ingress = ingress;
  }

  [Symbol.dispose](): void {
    this.#dropOrigin();
  }

  async forward(request: ForwardRequest): Promise<ForwardOutcome> {
    const name = formatTarget(request.form.target);
    const { path } = this.#client;
    const kept = this.#origin?.name === name && this.#origin.path === path && !this.#origin.inbox.stirred;
    if (kept && this.#origin) {
      const repeatable = safeMethods.has(request.head.method) && request.framing.kind === "none";
      const outcome = await this.#exchange(request, this.#origin, repeatable);
      if (outcome !== "gone") return outcome;
    }
    this.#dropOrigin();
    let origin: Origin;
    try {
      const stream = await this.#ingress.dial(this.#client, request.form.target);
      const inbox = new Inbox(stream, this.#ingress.pool, this.#ingress.limits.maxHeadBytes);
      origin = this.#origin = { name, path, stream, inbox };
    } catch (error) {
      this.#ingress.log.debug("request failed", { reason: dialFailureOf(error) });
      return { error };
    }
    const outcome = await this.#exchange(request, origin, false);
    return outcome === "gone" ? "end" : outcome;
  }

  /** One request and its answer; "gone" when nothing came back and `repeatable` says that it may be tried again. */
  async #exchange(request: ForwardRequest, origin: Origin, repeatable: boolean): Promise<ForwardOutcome | "gone"> {
    const { head, framing } = request;
    const upgrade = upgradeOf(head);
    const keep = persists(head);
    const fields = forwardRequestFields(head, request.form.authority, { framing, upgrade, close: !keep });
    const out = encodeRequestHead({ method: head.method, target: request.form.path, fields });
    const upload = this.#upload(out, request, origin);

    const answer = await this.#finalHead(request, origin, upgrade !== undefined);
    if (!("status" in answer)) {
      this.#dropOrigin();
      if (upload.state === "client_gone") return "end";
      if (upload.state === "bad_body") return { badBody: "its chunks make no sense" };
      return answer.proxyError === "connection_terminated" && repeatable ? "gone" : answer;
    }
    if (answer.status === 101) return await this.#switchProtocols(answer, origin, upload);
    return await this.#answer(request, origin, answer, upload);
  }

  /** Sends head and body, and does not fail: the answer may be worth reading when the sending has failed. */
  #upload(head: Uint8Array, request: ForwardRequest, origin: Origin): Upload {
    const { stream } = origin;
    const { framing } = request;
    const upgrading = upgradeOf(request.head) !== undefined;
    const send = async () => {
      try {
        await writeAll(stream, head);
        const bytes = await carryBody(this.#client.inbox, framing, { stream, chunked: framing.kind === "chunked" });
        this.#ingress.carried(bytes, 0);
        upload.state = "done";
        // From now on the client can only go away, or say the next request; unless the next bytes are not HTTP.
        if (!upgrading) {
          this.#client.inbox.prefetch({ ended: () => this.#endOrigin(), lost: () => this.#client.close() });
        }
      } catch (error) {
        if (!(error instanceof BodyError)) return void (upload.state = "origin_failed");
        upload.state = error.code === "malformed_chunk" ? "bad_body" : "client_gone";
        // The origin must not take half a body for a whole one, and nobody waits for its answer.
        closeQuietly(stream);
      }
    };
    const upload: Upload = { state: "sending", ended: Promise.resolve().then(send) };
    return upload;
  }

  /** Reads heads until the final one, passing on 1xx; or says what was wrong. A 101 is final if it was asked for. */
  async #finalHead(
    request: ForwardRequest,
    origin: Origin,
    upgrading: boolean,
  ): Promise<ResponseHead | { readonly proxyError: string }> {
    for (;;) {
      const head = await readHead(origin.inbox);
      if (typeof head === "string") return { proxyError: head };
      if (head.status >= 200) return head;
      if (head.status === 101) return upgrading ? head : { proxyError: "http_protocol_error" };
      if (request.head.minor === 0) continue;
      const fields = forwardResponseFields(head, { framing: { kind: "none" } });
      await this.#tellClient(encodeResponseHead({ ...head, fields }));
    }
  }

  async #switchProtocols(head: ResponseHead, origin: Origin, upload: Upload): Promise<ForwardOutcome> {
    await upload.ended;
    if (upload.state !== "done") return "end";
    const fields = forwardResponseFields(head, { framing: { kind: "none" }, upgrade: upgradeOf(head) });
    await this.#tellClient(encodeResponseHead({ ...head, fields }));
    await this.#ingress.join(this.#client, origin.stream, origin.inbox.release());
    return "end";
  }

  async #answer(
    request: ForwardRequest,
    origin: Origin,
    head: ResponseHead,
    upload: Upload,
  ): Promise<ForwardOutcome> {
    const framing = responseFraming(head, request.head.method);
    if (framing.kind === "bad") {
      this.#dropOrigin();
      return { proxyError: "http_protocol_error" };
    }
    const { conn } = this.#client;
    // A client that waits to be asked for its body and is answered instead may send the body or not: no telling.
    const undecided = tokensOf(request.head.fields, "expect").includes("100-continue") &&
      upload.state === "sending";
    const chunked = (framing.kind === "chunked" || framing.kind === "close") && request.head.minor === 1;
    const keep = persists(request.head) && !undecided && !this.#ingress.draining;
    const sent: Framing = chunked ? { kind: "chunked" } : framing.kind === "chunked" ? { kind: "close" } : framing;
    const fields = forwardResponseFields(head, { framing: sent, close: !keep });
    try {
      await writeAll(conn, encodeResponseHead({ ...head, fields }));
      this.#ingress.carried(0, await carryBody(origin.inbox, framing, { stream: conn, chunked }));
    } catch {
      // Cut short by either side: closing the client is the only way left to tell it.
      return "end";
    }
    if (undecided) {
      this.#dropOrigin();
      return "linger";
    }
    await upload.ended;
    if (upload.state !== "done") return upload.state === "origin_failed" ? "linger" : "end";
    if (framing.kind === "close" || !keep || !persists(head) || origin.inbox.length > 0) this.#dropOrigin();
    else origin.inbox.prefetch();
    return keep ? "next" : "linger";
  }

  /** A client that cannot be written to is gone: the next read or write finds out. */
  async #tellClient(bytes: Uint8Array): Promise<void> {
    try {
      await writeAll(this.#client.conn, bytes);
    } catch {
      this.#client.close();
    }
  }

  /**
   * The client has ended its half, because it has asked all it wants or because it is gone: the origin is told as it
   * would be without a proxy, and decides whether there is still someone to answer.
   */
  #endOrigin(): void {
    this.#origin?.stream.closeWrite().catch(() => {});
  }

  #dropOrigin(): void {
    const origin = this.#origin;
    if (!origin) return;
    this.#origin = undefined;
    this.#client.hold(undefined);
    origin.inbox.allTaken();
    closeQuietly(origin.stream);
    origin.inbox.release();
  }
}

/** The next response head, or the RFC 9209 error type of what came instead. */
async function readHead(inbox: Inbox): Promise<ResponseHead | string> {
  try {
    for (let scannedBytes = 0;;) {
      const parsed = parseResponseHead(inbox.head, scannedBytes);
      if (parsed.status === "done") {
        inbox.consume(parsed.length);
        return parsed.value;
      }
      if (parsed.status === "bad") return "http_protocol_error";
      if (inbox.full) return "http_response_header_section_size";
      scannedBytes = inbox.length;
      if (!await inbox.fill()) return inbox.length > 0 ? "http_response_incomplete" : "connection_terminated";
    }
  } catch {
    return "connection_terminated";
  }
}

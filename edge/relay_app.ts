/**
 * What the apps of relays have in common: who may ask, how a WebSocket is had, and what is said to whoever is lost.
 */

import { type Context, Hono } from "hono";
import { type Log, silentLog } from "../protocol/log.ts";
import { messageOf } from "../protocol/errors.ts";
import type { ChannelBounds, MessageChannel } from "../protocol/message_channel.ts";
import type { Primitives } from "../protocol/primitives.ts";
import { ROOT_PATHS } from "./api_description.ts";
import { Problem } from "./problem.ts";

/** What whoever serves the app tells it of a request: `app.fetch(request, { remoteAddress })`. */
export interface RelayEnv {
  readonly Bindings: {
    /** The IP address it came from; without one no limit per address is kept. */
    readonly remoteAddress?: string | undefined;
  };
}

export interface RelayAppDeps {
  readonly version: string;
  readonly primitives: Pick<Primitives, "sha256">;
  /** What clients must know; printable ASCII without spaces. */
  readonly token?: string | undefined;
  readonly log?: Log;
  /** Makes a WebSocket of a request that asks for one: `webSocketUpgrade`, where the runtime has it. */
  upgrade(request: Request, bounds: ChannelBounds): { readonly response: Response; readonly channel: MessageChannel };
}

/** An app that answers nothing but `/healthz` yet. */
export function relayApp({ version, log = silentLog }: RelayAppDeps): Hono<RelayEnv> {
  const app = new Hono<RelayEnv>();
  app.use(async (context, next) => {
    await next();
    if (context.res.status === 101) return; // its headers belong to the runtime
    context.header("x-content-type-options", "nosniff");
    context.header("cache-control", "no-store");
  });
  app.get("/healthz", (context) => context.json({ status: "ok", version }));
  app.notFound(() => new Problem("not_found", "Cannot answer: there is nothing at this path").response());
  app.onError((error) => {
    log.error("A request failed", { error: messageOf(error) });
    return new Problem("internal", "Cannot answer: something went wrong here, and the log says what").response();
  });
  return app;
}

/** What a relay does with those who come. */
export interface Admission {
  /** Why whoever comes from there is not served now. Counts the attempt. */
  refusalOf(remoteAddress: string | undefined): Problem | undefined;
  /** A problem to answer with, counted. */
  refuse(...problem: ConstructorParameters<typeof Problem>): Problem;
}

/** Lets in those from whom the relay takes more now, and who know the token if there is one. */
export class Doorkeeper {
  readonly #relay: Admission;
  readonly #primitives: Pick<Primitives, "sha256">;
  readonly #expected: Uint8Array | undefined;

  constructor(relay: Admission, { primitives, token }: Pick<RelayAppDeps, "primitives" | "token">) {
    this.#relay = relay;
    this.#primitives = primitives;
    this.#expected = token === undefined ? undefined : this.#digest(`Bearer ${token}`);
  }

  /** The problem with whoever comes from there and shows that, or undefined. Those who guess tokens run out of attempts. */
  refusalOf(remoteAddress: string | undefined, authorization: string | undefined): Problem | undefined {
    const refusal = this.#relay.refusalOf(remoteAddress);
    if (refusal) return refusal;
    if (!this.#expected || this.#isExpected(this.#digest(authorization ?? ""))) return undefined;
    return this.#relay.refuse(
      "unauthorized",
      "Cannot take the request: it must show this relay's token, as a bearer's",
      {
        headers: { "www-authenticate": "Bearer" },
      },
    );
  }

  #digest(text: string): Uint8Array {
    return this.#primitives.sha256(new TextEncoder().encode(text));
  }

  /** Digests have one length, and say nothing about the token, wherever they begin to differ. */
  #isExpected(digest: Uint8Array): boolean {
    return digest.every((byte, index) => byte === this.#expected![index]);
  }
}

/** Asks the doorkeeper before those paths, and before what describes the relay: strangers need not know what it is. */
export function guardRelay(app: Hono<RelayEnv>, door: Doorkeeper, paths: readonly string[]): void {
  for (const path of [...paths, ...Object.values(ROOT_PATHS)]) {
    app.use(path, async (context, next) => {
      const refusal = door.refusalOf(context.env?.remoteAddress, context.req.header("authorization"));
      return refusal ? refusal.response() : await next();
    });
  }
}

/** Whether a request asks for a WebSocket. */
export function asksForWebSocket({ req }: Context): boolean {
  return req.header("upgrade")?.toLowerCase() === "websocket";
}

/** What is told to whoever should have asked for a WebSocket. */
export function upgradeRequired(): Response {
  return new Problem("upgrade_required", "Cannot answer: ask for a WebSocket here", {
    headers: { upgrade: "websocket" },
  })
    .response();
}

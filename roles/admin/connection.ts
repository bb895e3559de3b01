/**
 * `culvert admin` on the way to a supernode's administrators' API: where that is, with which token, and one sentence for
 * whatever goes wrong.
 *
 * Over `node:http`, since `fetch` would follow `HTTP_PROXY`, and the token is nobody else's business.
 */

import { Buffer } from "node:buffer";
import { type IncomingMessage, request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { z } from "zod";
import { CulvertError, messageOf } from "../../protocol/errors.ts";
import { httpProblemSchema } from "../../protocol/http_problem.ts";
import { findAdminAccess } from "../admin_access.ts";
import { ConfigError } from "../config.ts";
import { isLoopback } from "../listening.ts";
import { readPrivateFile } from "../private_file.ts";

const ACTION = "run admin";
const loginAnswer = z.object({ session: z.string().min(1) });
/** Above the longest page of the API. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;

export interface AdminAddress {
  readonly admin?: string | undefined;
  readonly adminToken?: string | undefined;
  readonly adminTokenFile?: string | undefined;
}

export interface AdminCall<S extends z.ZodType> {
  readonly method?: "GET" | "POST" | "DELETE";
  /** With its query. */
  readonly path: string;
  readonly body?: object;
  readonly answer: S;
}

export class AdminConnection {
  readonly #url: URL;
  readonly #token: string;
  readonly #signal: AbortSignal;

  private constructor(url: URL, token: string, signal: AbortSignal) {
    this.#url = url;
    this.#token = token;
    this.#signal = signal;
  }

  /** Finds the supernode: the one that is named, else the one that keeps its state in this directory. */
  static async find(address: AdminAddress, { stateDir, signal }: {
    readonly stateDir: string;
    readonly signal: AbortSignal;
  }): Promise<AdminConnection> {
    const all = await findAdminAccess(stateDir);
    const url = address.admin ?? all[0]?.access.url;
    if (url === undefined) {
      throw new CulvertError(
        "no_supernode",
        `Cannot ${ACTION}: no supernode or base runs with the state directory ${stateDir}; give its --state-dir, or --admin ` +
          `and CULVERT_ADMIN_TOKEN`,
      );
    }
    // The token of one supernode is not for another.
    const found = all.find(({ access }) => new URL(access.url).origin === new URL(url).origin);
    const token = await chosenToken(address) ?? found?.access.token;
    if (token === undefined) {
      throw new ConfigError(ACTION, [`the supernode at ${url} wants a token (CULVERT_ADMIN_TOKEN)`]);
    }
    return new AdminConnection(requireSafe(new URL(url)), token, signal);
  }

  /**
   * The page that shows it all, and lets in whoever opens it, for twelve hours: browsers remember addresses, so the token itself is
   * not in it.
   */
  async logIn(): Promise<string> {
    const body = { token: this.#token };
    const { session } = await this.call({ method: "POST", path: "/api/dashboard/logins", body, answer: loginAnswer });
    const url = new URL(this.#url);
    url.pathname = url.pathname.replace(/\/*$/, "/");
    url.hash = `session=${encodeURIComponent(session)}`;
    return url.href;
  }

  /** Asks, and gives the answer. Throws a CulvertError that says what is wrong. */
  async call<S extends z.ZodType>({ method = "GET", path, body, answer }: AdminCall<S>): Promise<z.output<S>> {
    const { status, text } = await this.#exchange(method, path, body);
    if (status === 401) {
      throw new CulvertError(
        "unauthorized",
        `Cannot ${ACTION}: ${this.#url.origin} does not take this token; give the one it was started with as ` +
          `CULVERT_ADMIN_TOKEN`,
      );
    }
    const json = parseJson(text);
    if (status !== 200 && status !== 201) throw problemOf(json, `${this.#url.origin} has answered with ${status}`);
    const parsed = answer.safeParse(json);
    if (parsed.success) return parsed.data;
    throw new CulvertError(
      "bad_answer",
      `Cannot ${ACTION}: what is at ${this.#url.origin} is no supernode of this version`,
    );
  }

  async #exchange(method: string, path: string, body?: object): Promise<{ status: number; text: string }> {
    const base = this.#url;
    const request = base.protocol === "https:" ? httpsRequest : httpRequest;
    const payload = body && Buffer.from(JSON.stringify(body));
    const headers = {
      authorization: `Bearer ${this.#token}`,
      ...(payload && { "content-type": "application/json", "content-length": String(payload.length) }),
    };
    try {
      const response = await new Promise<IncomingMessage>((resolve, reject) => {
        const url = new URL(base.pathname.replace(/\/$/, "") + path, base);
        request(url, { method, headers, signal: this.#signal, agent: false }, resolve).on("error", reject).end(payload);
      });
      return { status: response.statusCode!, text: await readText(response) };
    } catch (error) {
      this.#signal.throwIfAborted();
      const refused = error instanceof Error && "code" in error && error.code === "ECONNREFUSED";
      const why = refused ? "nobody listens there; is the supernode running?" : messageOf(error);
      throw new CulvertError("unreachable", `Cannot ${ACTION}: ${base.origin} cannot be reached: ${why}`, {
        cause: error,
      });
    }
  }
}

async function chosenToken({ adminToken, adminTokenFile }: AdminAddress): Promise<string | undefined> {
  if (adminToken !== undefined || adminTokenFile === undefined) return adminToken;
  const bytes = await readPrivateFile(adminTokenFile);
  const token = bytes && new TextDecoder().decode(bytes).trim();
  if (token) return token;
  throw new ConfigError(ACTION, [`--admin-token-file must be a file with a token in it, got ${adminTokenFile}`]);
}

/** The token must not cross a network in the open. */
function requireSafe(url: URL): URL {
  if (url.protocol === "https:" || isLoopback({ host: url.hostname.replace(/^\[|\]$/g, ""), port: 0 })) return url;
  throw new ConfigError(ACTION, [
    `--admin must be on this machine or begin with https:, got ${url.origin}; from elsewhere use a tunnel such as ssh -L`,
  ]);
}

function problemOf(json: unknown, otherwise: string): CulvertError {
  const { success, data } = httpProblemSchema.safeParse(json);
  if (!success) return new CulvertError("failed", `Cannot ${ACTION}: ${otherwise}`);
  const errors = (data.errors ?? []).map(({ at, message }) => `${at}: ${message}`);
  return new CulvertError(data.code, [data.detail, ...errors].join("; "));
}

async function readText(response: IncomingMessage): Promise<string> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of response) {
    length += part.length;
    if (length > MAX_ANSWER_BYTES) throw new CulvertError("too_large", "it says too much");
    parts.push(part);
  }
  return Buffer.concat(parts).toString("utf-8");
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

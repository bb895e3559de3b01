/**
 * Calls to the dashboard's API by whoever is logged in.
 *
 *   token ─▶ logIn ─▶ session, kept as long as this tab is ─▶ in each call │ refused: forgotten, and `over` is told
 *
 * The administrators' token itself is kept nowhere.
 */

import { ApiError, readJson, send } from "../lib/http.js";

/** @import { Deed } from "../../dashboard/inventory.ts" */
/** @import { DeedAnswer, Login, PeerRow, RowPage, RowQuery, SessionRow } from "../../dashboard/api.ts" */

const PREFIX = "/api/dashboard";
const KEY = "culvert.dashboard";
const SERVER = "The server";

/** Tells `over` when the session counts no more. */
export class Client extends EventTarget {
  /** @type {string | undefined} */
  #session = sessionStorage.getItem(KEY) ?? undefined;

  get isLoggedIn() {
    return this.#session !== undefined;
  }

  /** @param {string} token */
  async logIn(token) {
    const response = await send("POST", `${PREFIX}/logins`, { body: { token }, server: SERVER });
    const { session } = /** @type {Login} */ (await readJson(response, SERVER));
    this.takeUp(session);
  }

  /**
   * Goes on with a session that somebody else has logged in for.
   * @param {string} session
   */
  takeUp(session) {
    this.#session = session;
    sessionStorage.setItem(KEY, session);
  }

  /** Ends it at the server as well, as soon as that hears of it. */
  logOut() {
    const session = this.#session;
    this.#forget();
    if (session === undefined) return;
    const headers = { authorization: `Bearer ${session}` };
    send("POST", `${PREFIX}/logins/end`, { headers, server: SERVER }).catch(() => {});
  }

  #forget() {
    this.#session = undefined;
    sessionStorage.removeItem(KEY);
  }

  /**
   * The body of an answer that goes on as long as things happen.
   * @param {AbortSignal} signal
   * @returns {Promise<ReadableStream<Uint8Array<ArrayBuffer>>>}
   */
  async watch(signal) {
    const { body } = await this.#send("GET", "/watch", { signal, accept: "text/event-stream" });
    if (!body) throw new ApiError({ status: 200, code: "bad_answer", message: `${SERVER} told nothing.` });
    return body;
  }

  /**
   * @param {RowQuery} query
   * @param {AbortSignal} signal
   * @returns {Promise<RowPage<PeerRow>>}
   */
  async peers(query, signal) {
    return await readJson(await this.#send("GET", "/peers", { query, signal }), SERVER);
  }

  /**
   * @param {RowQuery} query
   * @param {AbortSignal} signal
   * @returns {Promise<RowPage<SessionRow>>}
   */
  async sessions(query, signal) {
    return await readJson(await this.#send("GET", "/sessions", { query, signal }), SERVER);
  }

  /**
   * @param {Deed} deed
   * @returns {Promise<DeedAnswer>}
   */
  async act(deed) {
    return await readJson(await this.#send("POST", "/deeds", { body: deed }), SERVER);
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {{ query?: RowQuery, body?: unknown, signal?: AbortSignal, accept?: string }} options
   */
  async #send(method, path, { query = {}, body, signal, accept = "application/json" }) {
    const session = this.#session;
    const headers = { accept, ...(session !== undefined && { authorization: `Bearer ${session}` }) };
    try {
      return await send(method, PREFIX + path, { query: { ...query }, body, signal, headers, server: SERVER });
    } catch (error) {
      if (error instanceof ApiError && error.status === 401 && this.#session === session) {
        this.#forget();
        this.dispatchEvent(new Event("over"));
      }
      throw error;
    }
  }
}

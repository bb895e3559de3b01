/**
 * Calls to the orchestrator's API, by whoever is signed in.
 *
 *   call ─ access token (in memory only) ─▶ answer
 *     └─ 401, or about to expire ─▶ refresh, once for all calls of all tabs ─▶ again │ refused: signed out
 *
 * The refresh token is a cookie that no script can read. It counts once, and using one twice revokes the whole sign-in, so
 * tabs take turns by a Web Lock.
 */

import { ApiError, readJson, send } from "./http.js";

/** @import { SessionView, UserView } from "../../orchestrator/api.ts" */

/** @typedef {import("./http.js").CallOptions} CallOptions */

const SERVER = "The orchestrator";
const REFRESH = "/v1/session/refresh";
const LOCK = "culvert.refresh";
/** A token this close to its end may be over when it arrives. */
const MARGIN_MS = 10_000;

/**
 * Tells `signedout`, here and in every other tab, when nobody is signed in any more.
 */
export class Api extends EventTarget {
  /** @type {SessionView | undefined} */
  #session;
  /** @type {Promise<boolean> | undefined} */
  #refreshing;
  #otherTabs = new BroadcastChannel("culvert");

  constructor() {
    super();
    this.#otherTabs.addEventListener("message", () => this.#forget());
  }

  /**
   * Who is signed in, as last heard.
   * @returns {UserView | undefined}
   */
  get user() {
    return this.#session?.user;
  }

  /** @param {SessionView} session */
  signIn(session) {
    this.#session = session;
  }

  /** Takes up the sign-in this browser has a cookie of; whether there is one. */
  resume() {
    return this.#refresh();
  }

  async signOut() {
    this.#forget();
    this.#otherTabs.postMessage("signedout");
    await this.postOpen("/v1/session/end", {});
  }

  #forget() {
    this.#session = undefined;
    this.dispatchEvent(new Event("signedout"));
  }

  /**
   * The answer's JSON.
   * @param {string} path
   * @param {CallOptions} [options]
   */
  get(path, options) {
    return this.#json("GET", path, options);
  }

  /**
   * @param {string} path
   * @param {CallOptions} [options]
   */
  post(path, options) {
    return this.#json("POST", path, options);
  }

  /**
   * A call that needs nobody signed in.
   * @param {string} path
   */
  async getOpen(path) {
    return await readJson(await sendAs("GET", path, {}, undefined), SERVER);
  }

  /**
   * The same: signing in itself.
   * @param {string} path
   * @param {unknown} body
   */
  async postOpen(path, body) {
    return await readJson(await sendAs("POST", path, { body }, undefined), SERVER);
  }

  /**
   * The answer as a file.
   * @param {string} path
   * @param {CallOptions} [options]
   */
  async file(path, options) {
    return await (await this.#send("GET", path, options)).blob();
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {CallOptions} [options]
   */
  async #json(method, path, options) {
    return await readJson(await this.#send(method, path, options), SERVER);
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {CallOptions} [options]
   */
  async #send(method, path, options = {}) {
    const isFresh = this.#session !== undefined && this.#session.expiresAtMs - Date.now() > MARGIN_MS;
    if (!isFresh && !(await this.#refresh())) throw signedOut();
    const used = this.#session?.accessToken;
    try {
      return await sendAs(method, path, options, used);
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 401) throw error;
      // Another call may have refreshed while this one was under way.
      if (this.#session?.accessToken === used && !(await this.#refresh())) throw error;
      return await sendAs(method, path, options, this.#session?.accessToken);
    }
  }

  /** Whether there is a fresh access token now. */
  #refresh() {
    return this.#refreshing ??= this.#refreshInTurn().finally(() => this.#refreshing = undefined);
  }

  async #refreshInTurn() {
    // Plain HTTP from another machine has no locks; then tabs may collide, which the server forgives for some seconds.
    if (!navigator.locks) return await this.#refreshNow();
    return await navigator.locks.request(LOCK, () => this.#refreshNow());
  }

  async #refreshNow() {
    try {
      this.signIn(/** @type {SessionView} */ (await this.postOpen(REFRESH, {})));
      return true;
    } catch (error) {
      if (!(error instanceof ApiError) || (error.status !== 401 && error.code !== "suspended")) throw error;
      this.#forget();
      return false;
    }
  }
}

function signedOut() {
  return new ApiError({ status: 401, code: "unauthorized", message: "You are signed out. Sign in again." });
}

/**
 * @param {string} method
 * @param {string} path
 * @param {CallOptions} options
 * @param {string | undefined} accessToken
 */
function sendAs(method, path, options, accessToken) {
  const headers = accessToken === undefined ? {} : { authorization: `Bearer ${accessToken}` };
  return send(method, path, { ...options, headers, server: SERVER });
}

/** Requests of pages to the server they came from: answers as JSON, and what went wrong in words for people. */

/** What went wrong, for people in `message`; `code` is the problem's, or `network` when there was no answer. */
export class ApiError extends Error {
  /**
   * @param {{ status: number, code: string, message: string, retryAfterMs?: number | undefined }} what
   */
  constructor({ status, code, message, retryAfterMs }) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.code = code;
    this.retryAfterMs = retryAfterMs;
  }
}

/**
 * @typedef {{
 *   query?: Record<string, string | number | undefined>,
 *   body?: unknown,
 *   signal?: AbortSignal | undefined,
 * }} CallOptions
 */

/**
 * Rejects with an ApiError unless the answer is a good one.
 * @param {string} method
 * @param {string} path
 * @param {CallOptions & { headers?: Record<string, string>, server: string }} options `server`: what it is called, to begin
 *   a sentence with
 */
export async function send(method, path, { query = {}, body, signal, headers: more = {}, server }) {
  const url = new URL(path, location.origin);
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== "") url.searchParams.set(name, String(value));
  }
  const headers = new Headers({ accept: "application/json", ...more });
  if (body !== undefined) headers.set("content-type", "application/json");
  const init = {
    method,
    headers,
    credentials: /** @type {const} */ ("same-origin"),
    ...(body !== undefined && { body: JSON.stringify(body) }),
    ...(signal && { signal }),
  };
  const response = await reach(url, init, server);
  if (!response.ok) throw await errorOf(response, server);
  return response;
}

/**
 * @param {URL} url
 * @param {RequestInit} init
 * @param {string} server
 */
async function reach(url, init, server) {
  try {
    return await fetch(url, init);
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new ApiError({
      status: 0,
      code: "network",
      message: `${server} cannot be reached. Check your connection, then try again.`,
    });
  }
}

/**
 * @param {Response} response
 * @param {string} server
 */
export async function readJson(response, server) {
  try {
    return await response.json();
  } catch {
    const message = `${server}'s answer was cut short or is none. Try again.`;
    throw new ApiError({ status: response.status, code: "bad_answer", message });
  }
}

/**
 * @param {Response} response
 * @param {string} server
 */
async function errorOf(response, server) {
  const { status } = response;
  const problem = await response.json().catch(() => ({}));
  return new ApiError({
    status,
    code: String(problem.code ?? "unknown"),
    message: String(problem.detail ?? problem.title ?? `${server} answered ${status}.`),
    retryAfterMs: typeof problem.retryAfterMs === "number" ? problem.retryAfterMs : undefined,
  });
}

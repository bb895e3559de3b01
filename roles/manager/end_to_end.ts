/**
 * A request through a service: whether it carries anything, not only whether it listens.
 *
 *   GET url ─▶ the service's proxy (SOCKS5 or HTTP CONNECT), where there is one ─▶ TLS for https ─▶ a status
 *
 * Each probe has connections of its own, so that none is answered by what an earlier one has left open. The proxy resolves
 * the name.
 */

import { request } from "undici";
import { abortable } from "../../net/abortable.ts";
import { openPathAgent } from "../../net/path_agent.ts";
import { ProxyPath } from "../../net/proxy_path.ts";
import { orAborted } from "../../protocol/abort.ts";
import { type Clock, deadline } from "../../protocol/clock.ts";
import { messageOf } from "../../protocol/errors.ts";
import type { ServiceProbe } from "../../protocol/manager/service.ts";
import type { Path, Target } from "../../protocol/stream.ts";

/** From it on a server says that the fault is its own, or that of a proxy before it. */
const SERVER_FAULT = 500;
const DEFAULT_PORTS: Readonly<Record<string, number>> = { "socks5:": 1080, "http:": 80 };

/** What is wrong, as a sentence; undefined when the answer is as it should be. Rejects only when aborted. */
export async function askThrough(
  { through, url, status: expected, timeoutMs }: ServiceProbe,
  { clock, signal: parent }: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<string | undefined> {
  // A URL may hold a token behind its host.
  const place = `${new URL(url).host}${through === undefined ? "" : ` through ${new URL(through).host}`}`;
  using limit = deadline(clock, timeoutMs, `reach ${place}`, parent);
  const path: Pick<Path, "dial"> & Partial<Path> = through === undefined ? plainPath : proxyAt(through, clock);
  const agent = openPathAgent({ path, clock, connectTimeoutMs: timeoutMs });
  try {
    const answer = await orAborted(request(url, { dispatcher: agent, signal: limit.signal }), limit.signal);
    answer.body.on("error", () => {}); // it is not read to its end
    const { statusCode } = answer;
    const isAsExpected = expected === undefined ? statusCode < SERVER_FAULT : statusCode === expected;
    return isAsExpected ? undefined : `No good answer from ${place}: status ${statusCode}`;
  } catch (error) {
    parent.throwIfAborted();
    const isLate = limit.signal.aborted;
    return `No answer from ${place}: ${isLate ? `none within ${timeoutMs / 1000} s` : messageOf(error)}`;
  } finally {
    await agent.destroy();
    path.close?.();
  }
}

/** The operator has named where it leads. */
const plainPath: Pick<Path, "dial"> = {
  dial({ host, port }: Target, { signal = new AbortController().signal } = {}) {
    return abortable(() => Deno.connect({ hostname: host, port }), signal);
  },
};

function proxyAt(text: string, clock: Clock): Path {
  const { protocol, hostname, port, username, password } = new URL(text);
  return new ProxyPath({
    dialect: protocol === "http:" ? "http" : "socks5",
    proxy: { host: hostname.replace(/^\[|\]$/g, ""), port: Number(port) || DEFAULT_PORTS[protocol]! },
    ...(username !== "" && {
      credentials: { user: decodeURIComponent(username), password: decodeURIComponent(password) },
    }),
    clock,
  });
}

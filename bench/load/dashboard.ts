/**
 * A dashboard over a network that is not there, of any size, served as roles serve one; and those who watch it, who read all they
 * are told as fast as it comes.
 */

import { API_PREFIX, type Login } from "../../edge/dashboard/api.ts";
import { createDashboard } from "../../edge/dashboard/dashboard.ts";
import { TokenGuard } from "../../edge/dashboard/token_guard.ts";
import { FakeSource } from "../../edge/dashboard/fixtures/fake_source.ts";
import type { Clock } from "../../protocol/clock.ts";
import type { Random } from "../../protocol/random.ts";
import { serveHttp } from "../../roles/http_server.ts";

export const DASHBOARD_TOKEN = "what administrators know";

/** Of a hundred peers five are exits; each client has a session. */
const EXIT_SHARE = 0.05;
const SUPERNODES = 12;

/** Tells where it is served, until that settles. */
export async function serveDashboard(
  { peers, clock, random }: { readonly peers: number; readonly clock: Clock; readonly random: Random },
  tell: (line: object) => void,
  until: Promise<void>,
): Promise<void> {
  const exits = Math.max(1, Math.round(peers * EXIT_SHARE));
  const source = new FakeSource({ clock, supernodes: SUPERNODES, exits, clients: peers - exits, relays: 0 });
  using app = createDashboard({ source, guard: new TokenGuard({ token: DASHBOARD_TOKEN, clock }), clock, random });
  await using server = await serveHttp({
    listen: { host: "127.0.0.1", port: 0 },
    what: "a dashboard",
    flag: "--listen",
    fetch: (request, from) => app.fetch(request, from),
  });
  tell({ ready: true, addresses: { listen: server.address } });
  await until;
}

/** Those who watch a dashboard, until disposed. */
export class DashboardWatchers implements AsyncDisposable {
  /** That they have read so far. */
  bytes = 0;
  readonly #readers: ReadableStreamDefaultReader<Uint8Array>[] = [];
  readonly #reading: Promise<void>[] = [];

  /** Settles once each of them is told something. */
  static async open(url: string, count: number, token = DASHBOARD_TOKEN): Promise<DashboardWatchers> {
    const watchers = new DashboardWatchers();
    const headers = { "content-type": "application/json" };
    const body = JSON.stringify({ token });
    const answer = await fetch(new URL(`${API_PREFIX}/logins`, url), { method: "POST", headers, body });
    const { session } = await answer.json() as Login;
    for (let number = 0; number < count; number++) await watchers.#watch(new URL(`${API_PREFIX}/watch`, url), session);
    return watchers;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Not by a signal: fetch heeds none any more once its Response has been collected.
    await Promise.allSettled(this.#readers.map((reader) => reader.cancel()));
    await Promise.all(this.#reading);
  }

  async #watch(url: URL, session: string): Promise<void> {
    const response = await fetch(url, { headers: { authorization: `Bearer ${session}` } });
    if (!response.ok) throw new Error(`Cannot watch a dashboard: ${await response.text()}`);
    const reader = response.body!.getReader();
    this.#readers.push(reader);
    this.bytes += (await reader.read()).value?.length ?? 0;
    const reading = this.#readAll(reader);
    reading.catch(() => {}); // thrown when this is disposed
    this.#reading.push(reading);
  }

  async #readAll(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) this.bytes += piece.value.length;
  }
}

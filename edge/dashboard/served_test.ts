import { assert, assertEquals } from "@std/assert";
import { serveHttp } from "../../roles/http_server.ts";
import { type Clock, clockOf } from "../../protocol/clock.ts";
import { randomOf } from "../../protocol/random.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { eventually, within } from "../../testing/waiting.ts";
import { createMetrics } from "../metrics.ts";
import { API_PREFIX, type Login } from "./api.ts";
import { createDashboard } from "./dashboard.ts";
import { TOKEN, Watching } from "./fixtures/dashboard.ts";
import { FakeSource } from "./fixtures/fake_source.ts";
import { TokenGuard } from "./token_guard.ts";

/** A dashboard on a port, as roles serve it. */
async function startServed(clock: Clock = clockOf(globalThis)) {
  await using resources = new AsyncDisposableStack();
  const metrics = createMetrics();
  const source = new FakeSource({ clock, clients: 2000 });
  const app = resources.use(
    createDashboard({
      source,
      guard: new TokenGuard({ token: TOKEN, clock }),
      clock,
      random: randomOf(crypto),
      metrics,
    }),
  );
  const { address } = resources.use(
    await serveHttp({
      listen: { host: "127.0.0.1", port: 0 },
      what: "a dashboard",
      flag: "--listen",
      fetch: (request, from) => app.fetch(request, from),
    }),
  );
  const url = `http://${address}${API_PREFIX}`;
  const headers = { "content-type": "application/json" };
  const answer = await fetch(`${url}/logins`, { method: "POST", headers, body: JSON.stringify({ token: TOKEN }) });
  const { session } = await answer.json() as Login;
  const moved = resources.move();
  return {
    app,
    address,
    session,
    viewers: async () => Number(/^dashboard_viewers (\d+)$/m.exec(await metrics.text())?.[1]),
    watch: (signal?: AbortSignal) =>
      fetch(`${url}/watch`, { headers: { authorization: `Bearer ${session}` }, ...(signal && { signal }) }),
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  };
}

Deno.test("over a connection, events come as they happen, and a page that is closed frees its place", async () => {
  await using served = await startServed();
  const closing = new AbortController();
  const watching = new Watching(await within("an answer", served.watch(closing.signal)));
  const { view } = await watching.until("view");
  assertEquals(view.totals.clients, 2000);
  await watching.until("log");
  await watching.until("view");
  assertEquals(await served.viewers(), 1);
  closing.abort();
  await watching.next().catch(() => {});
  await eventually("nobody watches", async () => await served.viewers() === 0);
});

Deno.test("a page that reads nothing holds up nobody, and all are told of the end", async () => {
  await using served = await startServed();
  const { hostname, port } = new URL(`http://${served.address}`);
  using stuck = await Deno.connect({ hostname, port: Number(port) });
  const head =
    `GET ${API_PREFIX}/watch HTTP/1.1\r\nHost: ${served.address}\r\nAuthorization: Bearer ${served.session}\r\n\r\n`;
  await stuck.write(new TextEncoder().encode(head));
  await eventually("it watches", async () => await served.viewers() === 1);
  const watching = new Watching(await served.watch());
  for (let time = 0; time < 2; time++) await watching.until("view");
  assertEquals(await served.viewers(), 2);
  served.app[Symbol.dispose]();
  assert(await watching.until("bye"));
  assertEquals(await watching.next(), undefined);
});

Deno.test("the connection of a page that reads nothing for a minute is cut, whatever is still on its way", async () => {
  const clock = new FakeClock();
  await using served = await startServed(clock);
  const { hostname, port } = new URL(`http://${served.address}`);
  using stuck = await Deno.connect({ hostname, port: Number(port) });
  const head =
    `GET ${API_PREFIX}/watch HTTP/1.1\r\nHost: ${served.address}\r\nAuthorization: Bearer ${served.session}\r\n\r\n`;
  await stuck.write(new TextEncoder().encode(head));
  await eventually("it watches", async () => await served.viewers() === 1);
  // Until the socket takes no more, and on until it is let go.
  await eventually("it is let go", async () => {
    await clock.advanceAsync(5000);
    return await served.viewers() === 0;
  });
  // It is cut, and does not end as it would for somebody who reads.
  const bytes = new Uint8Array(65_536);
  let text = "";
  const readAll = async () => {
    for (let count = await stuck.read(bytes); count; count = await stuck.read(bytes)) {
      text += new TextDecoder().decode(bytes.subarray(0, count));
    }
  };
  await within("the end", readAll().catch(() => {}));
  assertEquals([text.startsWith("HTTP/1.1 200"), text.endsWith("\r\n0\r\n\r\n")], [true, false]);
});

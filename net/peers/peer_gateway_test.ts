import { assertEquals } from "@std/assert";
import { type Clock, clockOf } from "../../protocol/clock.ts";
import { silentLog } from "../../protocol/log.ts";
import { randomOf } from "../../protocol/random.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { eventually } from "../../testing/waiting.ts";
import { startGuest, startHost } from "./fixtures/peer_world.ts";
import { GuestDoors } from "./guest_doors.ts";
import { PeerGateway } from "./peer_gateway.ts";

const realClock = clockOf(globalThis);

/** A peer whose server answers as it is told, seen from a gateway of another. */
async function gateway(
  answer: (request: Request) => Response | Promise<Response>,
  { clock = realClock }: { readonly clock?: Clock } = {},
) {
  await using stack = new AsyncDisposableStack();
  const doors = stack.use(
    new GuestDoors({
      clock,
      log: silentLog,
      open() {
        const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, answer);
        return { port: server.addr.port, [Symbol.asyncDispose]: () => server.shutdown() };
      },
    }),
  );
  const { onGuest, onLeave, onStream } = doors;
  const host = stack.use(startHost({ onGuest, onLeave, onStream }));
  const guest = stack.use(startGuest());
  const id = host.card().peerId;
  const made = stack.use(
    new PeerGateway({
      network: guest.network,
      find: (peerId) => Promise.resolve(peerId === id ? { card: host.card() } : undefined),
      clock,
      random: randomOf(crypto),
      log: silentLog,
    }),
  );
  const kept = stack.move();
  const ask = (rest: string, init?: RequestInit, peerId = id) =>
    made.ask(peerId, rest, new Request(`http://127.0.0.1:1/peers/${peerId}${rest}`, init));
  return { gateway: made, id, ask, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

Deno.test("a range of another peer's file comes as that peer gives it, without what only a page of ours may say", async () => {
  await using it = await gateway((request) =>
    new Response("cd", {
      status: 206,
      headers: {
        "content-range": `bytes 2-3/9`,
        "content-type": "text/html",
        "content-security-policy": "default-src *",
        "set-cookie": "a=b",
        "access-control-allow-origin": "*",
        etag: `"${request.headers.get("range")}"`,
        location: "https://evil.example/",
      },
    })
  );
  const response = await it.ask("/download/a.html?inline", { headers: { range: "bytes=2-3", cookie: "c=d" } });
  assertEquals([response.status, await response.text()], [206, "cd"]);
  const { headers } = response;
  assertEquals([headers.get("content-range"), headers.get("etag")], ["bytes 2-3/9", '"bytes=2-3"']);
  assertEquals([headers.get("set-cookie"), headers.get("location")], [null, null]);
  assertEquals(headers.get("access-control-allow-origin"), null);
  assertEquals(headers.get("x-content-type-options"), "nosniff");
  assertEquals(headers.get("content-security-policy")?.startsWith("sandbox; default-src 'none'"), true);
});

Deno.test("a peer that takes a request and says nothing is given up", async () => {
  const [clock, asked, said] = [new FakeClock(), Promise.withResolvers<void>(), Promise.withResolvers<Response>()];
  await using it = await gateway(() => {
    asked.resolve();
    return said.promise;
  }, { clock });
  const answering = it.ask("/api/self");
  await asked.promise;
  clock.advance(30_000);
  const answer = await answering;
  assertEquals([answer.status, (await answer.json()).code], [502, "unreachable"]);
  said.resolve(new Response());
});

Deno.test("only what shows files is passed on, of peers that are known", async () => {
  const asked: string[] = [];
  await using it = await gateway(async (request) => {
    asked.push(`${request.method} ${new URL(request.url).pathname}${new URL(request.url).search}`);
    return new Response(await request.text());
  });
  const table: [rest: string, init: RequestInit, status: number][] = [
    ["/api/files", {}, 200],
    ["/api/files/a%2Fb?sort=size", {}, 200],
    ["/api/search?q=x", {}, 200],
    ["/upload/new.txt", { method: "PUT", body: "words" }, 200],
    ["/api/events", {}, 404],
    ["/api/peers", {}, 404],
    ["/peers/x/api/files", {}, 404],
    ["/", {}, 404],
    ["/api/files", { method: "DELETE" }, 405],
    ["/content/a", { method: "POST", body: "x" }, 405],
  ];
  for (const [rest, init, status] of table) {
    const response = await it.ask(rest, init);
    assertEquals(response.status, status, rest);
    await response.body?.cancel();
  }
  assertEquals(asked, [
    "GET /api/files",
    "GET /api/files/a%2Fb?sort=size",
    "GET /api/search?q=x",
    "PUT /upload/new.txt",
  ]);
  const nobody = await it.ask("/api/files", {}, "a".repeat(26));
  assertEquals([nobody.status, (await nobody.json()).code], [404, "not_found"]);
});

Deno.test("a bridge is a URL of this machine, and the next request uses the same", async () => {
  await using it = await gateway((request) => new Response(new URL(request.url).pathname));
  const url = await it.gateway.open(it.id);
  const response = await fetch(`${url}x/y`);
  assertEquals(await response.text(), "/x/y");
  assertEquals(await it.gateway.open(it.id), url);
  assertEquals(await it.gateway.open("b".repeat(26)), undefined);
  await eventually("it answers", async () => (await (await it.ask("/api/self")).text()) === "/api/self");
});

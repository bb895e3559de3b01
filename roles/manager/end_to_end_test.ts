import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { serveProxy } from "../../net/proxy.ts";
import { clockOf } from "../../protocol/clock.ts";
import type { Path, Target } from "../../protocol/stream.ts";
import { askThrough } from "./end_to_end.ts";

const clock = clockOf(globalThis);
const signal = new AbortController().signal;

/** A way that leads to one place, and keeps what was asked for. */
function wayTo(port: number, asked: Target[]): Path {
  return {
    dial: (target) => {
      asked.push(target);
      return Deno.connect({ hostname: "127.0.0.1", port });
    },
    close() {},
    [Symbol.dispose]() {},
  };
}

Deno.test("a request goes through the service's proxy, which resolves the name", async () => {
  const statuses = [200, 404, 502];
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    () => new Response("answer", { status: statuses.shift()! }),
  );
  const asked: Target[] = [];
  using proxy = serveProxy({ listen: local(), path: wayTo(server.addr.port, asked), clock });
  const place = `127.0.0.1:${proxy.address.port}`;
  const probe = { url: "http://far.example/?token=x", timeoutMs: 20_000 };
  for (const scheme of ["socks5", "http"]) {
    assertEquals(await askThrough({ ...probe, through: `${scheme}://${place}` }, { clock, signal }), undefined);
  }
  assertEquals(asked, [{ host: "far.example", port: 80 }, { host: "far.example", port: 80 }]);
  const reason = await askThrough({ ...probe, through: `socks5://${place}` }, { clock, signal });
  assertEquals(reason, `No good answer from far.example through ${place}: status 502`);
});

Deno.test("a proxy that asks for a name and a password is given them", async () => {
  await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, () => new Response("answer"));
  using proxy = serveProxy({
    listen: local(),
    path: wayTo(server.addr.port, []),
    clock,
    auth: { "me@home": "a secret" },
  });
  const through = `socks5://me%40home:a%20secret@127.0.0.1:${proxy.address.port}`;
  const probe = { url: "http://far.example/", timeoutMs: 20_000 };
  assertEquals(await askThrough({ ...probe, through }, { clock, signal }), undefined);
  const reason = await askThrough({ ...probe, through: through.replace("secret", "guess") }, { clock, signal });
  assertStringIncludes(reason!, `No answer from far.example through 127.0.0.1:${proxy.address.port}: `);
  assertEquals(/guess|me%40home/.test(reason!), false);
});

Deno.test("no answer in time is no answer, and whoever stops asking is not told of one", async () => {
  using silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const taken: Deno.Conn[] = [];
  const taking = (async () => {
    for await (const connection of silent) taken.push(connection);
  })();
  const { port } = silent.addr as Deno.NetAddr;
  const probe = { url: `http://127.0.0.1:${port}/`, timeoutMs: 200 };
  assertEquals(await askThrough(probe, { clock, signal }), `No answer from 127.0.0.1:${port}: none within 0.2 s`);
  const stop = new AbortController();
  const asking = askThrough({ ...probe, timeoutMs: 60_000 }, { clock, signal: stop.signal });
  stop.abort(new Error("over"));
  await assertRejects(() => asking, Error, "over");
  silent.close();
  await taking;
  for (const connection of taken) connection.close();
});

Deno.test("a server that is not there is told by its place", async () => {
  using gone = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = gone.addr as Deno.NetAddr;
  gone.close();
  const reason = await askThrough({ url: `http://127.0.0.1:${port}/`, timeoutMs: 20_000 }, { clock, signal });
  assertStringIncludes(reason!, `No answer from 127.0.0.1:${port}: `);
});

function local() {
  return { hostname: "127.0.0.1", port: 0 };
}

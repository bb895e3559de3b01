import { assertEquals, assertNotStrictEquals, assertStrictEquals } from "@std/assert";
import { untracedFetch } from "./untraced_fetch.ts";

Deno.test("unless somebody listens it is the host's own", async () => {
  assertStrictEquals(await untracedFetch({ isOn: false }), fetch);
  assertNotStrictEquals(await untracedFetch({ isOn: true }), fetch);
});

Deno.test("another's fetch sends the same and is answered the same, and tells nobody of a trace", async () => {
  await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
    const heard = [request.method, new URL(request.url).pathname, request.headers.get("x-token"), await request.text()];
    return Response.json([...heard, request.headers.has("traceparent")], { status: 201 });
  });
  const ask = await untracedFetch({ isOn: true });
  const url = `http://127.0.0.1:${server.addr.port}/bot-secret/send`;
  const posted = await ask(new Request(url, { method: "POST", headers: { "x-token": "t" }, body: "äöü" }));
  assertEquals([posted.status, await posted.json()], [201, ["POST", "/bot-secret/send", "t", "äöü", false]]);
  const got = await ask(new URL(url), { headers: { "x-token": "u" } });
  assertEquals(await got.json(), ["GET", "/bot-secret/send", "u", "", false]);
});

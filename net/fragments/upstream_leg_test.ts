import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { DialError } from "../../protocol/errors.ts";
import { encodeUpstreamRefusal, parseClientMessage } from "../../protocol/fragment/messages.ts";
import { FakeRelay, type FakeRelayOptions, legTools } from "./fixtures/fake_relay.ts";
import type { LegTools } from "./legs.ts";
import { openUpstreamLeg } from "./upstream_leg.ts";

const centralId = new Uint8Array(16).fill(3);
const alias = new Uint8Array(16).fill(4);
const never = new AbortController().signal;

async function rig(options: FakeRelayOptions = {}, tools: Partial<LegTools> = {}) {
  const fake = new FakeRelay(options);
  const refused: string[] = [];
  const closed = Promise.withResolvers<unknown>();
  const toldRefusal = Promise.withResolvers<void>();
  const all = legTools(tools);
  const leg = await openUpstreamLeg({
    relay: fake.relay,
    centralId,
    alias,
    tools: all,
    onRefused: (code) => {
      refused.push(code);
      toldRefusal.resolve();
    },
    onClose: closed.resolve,
  }, never);
  return { fake, leg, refused, toldRefusal: toldRefusal.promise, closed: closed.promise, tools: all };
}

const kinds = { socket: {}, requests: { isWithoutSockets: true } };

for (const [kind, options] of Object.entries(kinds)) {
  Deno.test(`by ${kind}, what is sent comes with the head of its session, and the token`, async () => {
    const { fake, leg, closed } = await rig(options, { token: "t0k" });
    await using _ = fake;
    leg.sendOpening(Uint8Array.of(1, 2));
    await fake.cameAll(1);
    leg.send(Uint8Array.of(5, 6, 7));
    await fake.cameAll(2);
    leg.close();
    assertEquals(await closed, undefined);
    const [opening, data] = fake.received.map(parseClientMessage);
    assertEquals({ ...opening }, { kind: 1, centralId, alias, rest: Uint8Array.of(1, 2) });
    assertEquals({ ...data }, { kind: 2, centralId, alias, rest: Uint8Array.of(5, 6, 7) });
    assert(fake.headers.every((headers) => headers.get("authorization") === "Bearer t0k"));
  });
}

Deno.test("a refusal on a socket is told", async () => {
  const { fake, leg, closed, refused, toldRefusal } = await rig();
  await using _ = fake;
  leg.send(Uint8Array.of(1));
  await fake.cameAll(1);
  fake.say(encodeUpstreamRefusal({ centralId, alias, code: "central_down" }));
  fake.say(Uint8Array.of(9, 9));
  await toldRefusal;
  leg.close();
  await closed;
  assertEquals(refused, ["central_down"]);
});

Deno.test("a relay that lets no socket through is asked by requests from then on", async () => {
  const { fake, leg, closed, tools } = await rig(kinds.requests);
  await using _ = fake;
  assert(tools.blocked.has(fake.relay.relayId));
  leg.close();
  await closed;
});

Deno.test("requests are a few at once, and one that is refused pauses the leg", async () => {
  const gate = Promise.withResolvers<void>();
  const problem = { type: "a", title: "b", status: 503, code: "central_down", detail: "c" };
  const { fake, leg, closed, refused } = await rig({
    isWithoutSockets: true,
    answer: async () => {
      await gate.promise;
      return Response.json(problem, { status: 503 });
    },
  });
  await using _ = fake;
  let sent = 0;
  for (; leg.isWritable; sent++) leg.send(Uint8Array.of(sent));
  assertEquals(sent, 4);
  await fake.cameAll(4);
  const writable = new Promise<void>((resolve) => leg.onWritable = resolve);
  gate.resolve();
  await writable;
  assertEquals(new Set(refused), new Set(["central_down"]));
  leg.close();
  assertEquals(await closed, undefined);
});

Deno.test("a relay that does not want us ends the leg", async () => {
  const { fake, leg, closed } = await rig({
    isWithoutSockets: true,
    answer: () => new Response(null, { status: 401 }),
  });
  await using _ = fake;
  leg.send(Uint8Array.of(1));
  assertEquals(String(await closed), "CulvertError: The relay answered 401");
});

Deno.test("a relay that is not there is not asked by requests either", async () => {
  const fake = new FakeRelay();
  await fake[Symbol.asyncDispose]();
  const tools = legTools();
  const options = { relay: fake.relay, centralId, alias, tools, onRefused() {}, onClose() {} };
  const error = await openUpstreamLeg(options, never).catch((error) => error);
  assertInstanceOf(error, Deno.errors.ConnectionRefused);
  assert(!(error instanceof DialError) && !tools.blocked.has(fake.relay.relayId));
});

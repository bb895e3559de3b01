import { assert, assertEquals } from "@std/assert";
import { encodePollAnswer, parsePoll } from "../../protocol/fragment/messages.ts";
import { IDLE_MS, openDownstreamLeg } from "./downstream_leg.ts";
import { FakeRelay, type FakeRelayOptions, legTools } from "./fixtures/fake_relay.ts";

const claim = crypto.getRandomValues(new Uint8Array(32));
const never = new AbortController().signal;

async function rig(options: FakeRelayOptions = {}, wanted = 1) {
  const fake = new FakeRelay(options);
  const heard: string[] = [];
  const closed = Promise.withResolvers<unknown>();
  const heardAll = Promise.withResolvers<void>();
  const hear = (text: string) => {
    heard.push(text);
    if (heard.length === wanted) heardAll.resolve();
  };
  const leg = await openDownstreamLeg({
    relay: fake.relay,
    claim,
    tools: legTools(),
    onOpened: (rest) => hear(`opened ${rest}`),
    onData: (rest) => hear(`data ${rest}`),
    onClose: closed.resolve,
  }, never);
  return { fake, leg, heard, heardAll: heardAll.promise, closed: closed.promise };
}

Deno.test("by socket the claim goes first, and what is posted for it comes", async () => {
  const { fake, leg, heard, heardAll, closed } = await rig({}, 2);
  await using _ = fake;
  await fake.cameAll(1);
  assertEquals(fake.received, [claim]);
  fake.say(Uint8Array.of(3, 1, 2));
  fake.say(Uint8Array.of(9, 9));
  fake.say(Uint8Array.of(2, 7));
  await heardAll;
  leg.close();
  assertEquals(await closed, undefined);
  assertEquals(heard, ["opened 1,2", "data 7"]);
});

Deno.test("a downstream that closes says with what code", async () => {
  const { fake, closed } = await rig();
  await using _ = fake;
  await fake.cameAll(1);
  fake.hangUp(4001);
  assertEquals(String(await closed), "CulvertError: The relay closed with the code 4001");
});

Deno.test("by poll every answer is acknowledged, and a poll that failed is made again", async () => {
  const acknowledged: number[] = [];
  const { fake, leg, heardAll, heard, closed } = await rig({
    isWithoutSockets: true,
    answer: (body) => {
      const poll = parsePoll(body)!;
      assertEquals(poll.claim, claim);
      acknowledged.push(poll.acknowledged);
      if (acknowledged.length === 2) return new Response(null, { status: 503 });
      const messages = acknowledged.length === 1
        ? [Uint8Array.of(3, 1), Uint8Array.of(2, 5)]
        : [Uint8Array.of(2, acknowledged.length)];
      return new Response(encodePollAnswer({ number: 10 + acknowledged.length, messages }));
    },
  }, 4);
  await using _ = fake;
  await heardAll;
  leg.close();
  assertEquals(await closed, undefined);
  assertEquals(heard.slice(0, 4), ["opened 1", "data 5", "data 3", "data 4"]);
  assertEquals(acknowledged.slice(0, 4), [0, 11, 11, 13]);
});

Deno.test("a downstream that takes no poll of ours ends the leg", async () => {
  const { fake, closed } = await rig({
    isWithoutSockets: true,
    answer: () => new Response(null, { status: 403 }),
  });
  await using _ = fake;
  assertEquals(String(await closed), "CulvertError: The relay answered 403");
});

Deno.test("a downstream that answers at once though it has nothing is not asked at once again", async () => {
  let polls = 0;
  const asked = Promise.withResolvers<void>();
  const { fake, leg, closed } = await rig({
    isWithoutSockets: true,
    answer: () => {
      if (++polls === 4) asked.resolve();
      return new Response(null, { status: 204 });
    },
  });
  await using _ = fake;
  const startedMs = performance.now();
  await asked.promise;
  assert(performance.now() - startedMs >= 2 * IDLE_MS);
  leg.close();
  await closed;
});

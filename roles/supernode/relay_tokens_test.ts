import { assertEquals } from "@std/assert";
import { peerId } from "../../kv/fixtures/records.ts";
import { randomOf } from "../../protocol/random.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { type LinkHolder, RelayTokens } from "./relay_tokens.ts";

const HOLDER: LinkHolder = { kind: "peer", id: peerId(1) };

Deno.test("a token is good once, for its holder, for a minute", () => {
  const clock = new FakeClock();
  const tokens = new RelayTokens(clock, randomOf(crypto));
  const [one, other] = [tokens.issue(HOLDER), tokens.issue(HOLDER)];
  assertEquals(tokens.redeem(one), HOLDER);
  assertEquals(tokens.redeem(one), undefined);
  assertEquals(tokens.redeem("made up"), undefined);
  clock.advance(60_000);
  assertEquals(tokens.redeem(other), undefined);
});

Deno.test("of too many tokens the oldest are worth nothing", () => {
  const tokens = new RelayTokens(new FakeClock(), randomOf(crypto));
  const oldest = tokens.issue(HOLDER);
  const second = tokens.issue(HOLDER);
  for (let count = 2; count <= 65_536; count++) tokens.issue(HOLDER);
  assertEquals([tokens.redeem(oldest), tokens.redeem(second)], [undefined, HOLDER]);
});

import { assert, assertEquals } from "@std/assert";
import { CulvertError } from "../../../protocol/errors.ts";
import { silentLog } from "../../../protocol/log.ts";
import type { PaymentOrder, PaymentProvider } from "../../../protocol/sharing/payments/provider.ts";
import { FakeClock } from "../../../testing/fake_clock.ts";
import { SeededRandom } from "../../../testing/seeded_random.ts";
import { Checkouts } from "./checkouts.ts";

const USER = "aaaaaaaaaaaa";

function start(checkout: PaymentProvider["checkout"]) {
  const provider: PaymentProvider = { name: "stripe", checkout, readWebhook: () => ({ kind: "nothing" }) };
  const clock = new FakeClock();
  const deps = { providers: [provider], clock, random: new SeededRandom(1), log: silentLog };
  const options = { smallest: 5_000_000n, largest: 500_000_000n, returnUrl: "https://shop.example/" };
  return { clock, checkouts: new Checkouts(deps, options) };
}

Deno.test("paying in begins at the provider, each time with an order of its own", async () => {
  const orders: PaymentOrder[] = [];
  const { checkouts } = start((order) => {
    orders.push(order);
    return Promise.resolve("https://pay.example/1");
  });
  for (let n = 0; n < 2; n++) {
    const begun = await checkouts.begin({ userId: USER, provider: "stripe", amount: 5_000_000n });
    assertEquals(begun, { url: "https://pay.example/1" });
  }
  assertEquals(checkouts.providers, ["stripe"]);
  assertEquals([orders[0]!.userId, orders[0]!.amount], [USER, 5_000_000n]);
  assert(/^[a-z2-7]{26}$/.test(orders[0]!.orderId) && orders[0]!.orderId !== orders[1]!.orderId);
});

Deno.test("an amount out of bounds, or a provider that there is not, is refused", async () => {
  const { checkouts } = start(() => Promise.reject(new Error("must not be asked")));
  const begin = async (provider: string, amount: bigint) => {
    const result = await checkouts.begin({ userId: USER, provider, amount });
    return "refusal" in result ? result.refusal : result.url;
  };
  assertEquals(await begin("paypal", 5_000_000n), "not_found");
  assertEquals(await begin("stripe", 4_999_999n), "bad_request");
  assertEquals(await begin("stripe", 500_000_001n), "bad_request");
});

Deno.test("a provider that refuses or does not answer is said not to take payments", async () => {
  const refusing = start(() => Promise.reject(new CulvertError("payment_failed", "Cannot begin a payment: no")));
  const refused = await refusing.checkouts.begin({ userId: USER, provider: "stripe", amount: 5_000_000n });
  assert("refusal" in refused && refused.refusal === "conflict");
  const silent = start((_order, signal) =>
    new Promise((_, reject) => signal!.addEventListener("abort", () => reject(signal!.reason)))
  );
  const begin = silent.checkouts.begin({ userId: USER, provider: "stripe", amount: 5_000_000n });
  const late = await silent.clock.runUntil(begin, 16_000);
  assert("refusal" in late && late.refusal === "conflict");
  assertEquals(silent.clock.pendingTimers, 0);
});

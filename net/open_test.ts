import { assert, assertEquals, assertThrows } from "@std/assert";
import { clockOf } from "../protocol/clock.ts";
import { policyOf } from "../protocol/egress_policy.ts";
import { CulvertError } from "../protocol/errors.ts";
import { silentLog } from "../protocol/log.ts";
import { noMetrics } from "../protocol/metrics.ts";
import { FakeClock } from "../testing/fake_clock.ts";
import { SeededRandom } from "../testing/seeded_random.ts";
import { type CombinedPath, splitReportOf } from "./combine.ts";
import { type OpenOptions, openPaths } from "./open.ts";

function bench() {
  const users = new Set<() => void>();
  const policy = {
    current: policyOf(),
    subscribe(listener: () => void) {
      users.add(listener);
      return { [Symbol.dispose]: () => void users.delete(listener) };
    },
  };
  const options: OpenOptions = {
    clock: new FakeClock(),
    random: new SeededRandom(1),
    log: silentLog,
    metrics: noMetrics,
    policy,
  };
  return { options, users };
}

Deno.test("paths that cannot be combined are closed again", () => {
  for (const urls of [["direct:", "direct:"], ["direct:", "nonsense:"]]) {
    const { options, users } = bench();
    assertThrows(() => openPaths(urls, { how: "failover" }, options), CulvertError);
    assertEquals(users.size, 0, urls.join());
  }
});

Deno.test("a path is named without its token, however that is spelled", () => {
  for (const token of ["secret", "se@cret", "user:secret", "se%2Fcret@"]) {
    const url = `tunnel+ws://${token}@127.0.0.1:1/`;
    const error = assertThrows(() => openPaths([url, url], { how: "failover" }, bench().options), CulvertError);
    assert(error.message.includes('"tunnel+ws://127.0.0.1:1/"'), error.message);
  }
});

Deno.test("two ways by one gateway with different logins can be combined, and have a name each", () => {
  const urls = ["socks5://one:a@127.0.0.1:1", "socks5://two:b@127.0.0.1:1", "socks5://127.0.0.1:2"];
  using path = openPaths(urls, { how: "failover" }, bench().options) as CombinedPath;
  assertEquals(path.members().map(({ name }) => name), [
    "socks5://127.0.0.1:1",
    "socks5://127.0.0.1:1 #2",
    "socks5://127.0.0.1:2",
  ]);
});

Deno.test("a path through a closed network must know who we are, and leaves nothing behind when it does not", () => {
  for (const url of ["fragments+http://127.0.0.1:1/", "circuit+http://127.0.0.1:1/"]) {
    const { options } = bench();
    const clock = clockOf(globalThis); // what is left behind would be found by the runner
    const closed = { ...options, clock, networkPublicKey: new Uint8Array(32) };
    assertThrows(() => openPaths([url], { how: "failover" }, closed), CulvertError, "identity");
  }
});

Deno.test("weights are those of the paths in their order, and a split tells how they compare", () => {
  const urls = ["socks5://127.0.0.1:1081", "http://name:secret@127.0.0.1:1082/"];
  for (const how of ["balance", "split"] as const) {
    using path = openPaths(urls, { how, weights: [9, 1] }, bench().options) as CombinedPath;
    assertEquals(path.members().map(({ name, weight }) => [name, weight]), [
      ["socks5://127.0.0.1:1081", 9],
      ["http://127.0.0.1:1082/", 1],
    ]);
    assertEquals(splitReportOf(path)?.sides.length, how === "split" ? 2 : undefined);
  }
});

import { assert } from "@std/assert";
import { KcpRoute } from "./fixtures/kcp_route.ts";

const ROUTES = [
  { mbitPerS: 5, rttMs: 40, queueMs: 250, warmMs: 2000, forMs: 5000 },
  { mbitPerS: 20, rttMs: 20, queueMs: 250, warmMs: 1000, forMs: 5000 },
  { mbitPerS: 20, rttMs: 50, queueMs: 250, warmMs: 2000, forMs: 5000 },
  { mbitPerS: 200, rttMs: 100, queueMs: 250, warmMs: 3000, forMs: 4000 },
  { mbitPerS: 1000, rttMs: 1, queueMs: 20, warmMs: 300, forMs: 500 },
] as const;

/** What of a full line are the segments' data: the rest are the headers of KCP, the seal and UDP. */
const DATA_SHARE = 1326 / 1398;

for (const { mbitPerS, rttMs, queueMs, warmMs, forMs } of ROUTES) {
  for (const loss of [0, 0.01, 0.05]) {
    Deno.test(`KCP, paced, over ${mbitPerS} Mbit/s, ${rttMs} ms, ${loss * 100} % lost each way`, () => {
      const queueBytes = mbitPerS * 125 * queueMs;
      const route = new KcpRoute({ bandwidthBitsPerS: mbitPerS * 1e6, latencyMs: rttMs / 2, loss, queueBytes });
      route.run(warmMs);
      const before = route.deliveredBytes;
      const resent = route.sender.counters.timedOut;
      route.forth.forget();
      route.run(forMs);
      const share = (route.deliveredBytes - before) * 8 / forMs / 1000 / mbitPerS / DATA_SHARE / (1 - loss);
      assert(share >= (loss === 0.05 ? 0.85 : 0.9), `its share of the line was ${share}`);
      const queueMsP95 = route.forth.waitQuantileMs(0.95);
      assert(queueMsP95 <= 50, `the queue was ${queueMsP95} ms`);
      if (loss === 0) assert(route.sender.counters.timedOut === resent, "what was not lost was sent again");
    });
  }
}

Deno.test("KCP, paced, over a way so long that the first segments are sent again before any is answered", () => {
  const route = new KcpRoute({ bandwidthBitsPerS: 20e6, latencyMs: 300, loss: 0, queueBytes: 20 * 125 * 250 });
  route.run(8000);
  assert(route.congestion.minRttMs >= 600, `the round trip was taken for ${route.congestion.minRttMs} ms`);
  const before = route.deliveredBytes;
  route.run(6000);
  const share = (route.deliveredBytes - before) * 8 / 6000 / 1000 / 20 / DATA_SHARE;
  assert(share >= 0.85, `its share of the line was ${share}`);
});

import { assert } from "@std/assert";
import { measurePing, measureTcp, startIperf } from "../../bench/iperf.ts";
import { LINE, LineRig } from "../../bench/line_rig.ts";
import { testWith } from "../../testing/requirements.ts";

const NEEDS = { netns: true, files: ["/dev/net/tun"], tools: ["ip", "iperf3", "ping"] };

testWith(NEEDS, "a line between namespaces has its bandwidth, delay and queue for the kernel's TCP", async () => {
  await using rig = await LineRig.open();
  await using _server = await startIperf(rig.far);
  await rig.shape({ latencyMs: 10, bandwidthBitsPerS: 20e6, queueBytes: 50_000 });
  const pingMs = await measurePing(rig.near, LINE.far, 20);
  assert(pingMs >= 20 && pingMs < 40, `${pingMs}`);
  await rig.forgetWaits();
  const { gbitPerS } = await measureTcp(rig.near, LINE.far, { seconds: 1, warmS: 0, congestion: "cubic" });
  assert(gbitPerS > 0.005 && gbitPerS <= 0.0205, `${gbitPerS}`);
  const { up } = await rig.waits();
  assert(up.admitted > 500 && up.p95Ms <= 21, JSON.stringify(up));
});

testWith(NEEDS, "a line loses what it is told to", async () => {
  await using rig = await LineRig.open();
  await rig.shape({ loss: 0.5 }, {});
  await rig.near.run(["ping", "-c", "200", "-i", "0.002", "-W", "1", LINE.far], { mayFail: true });
  const { up, down } = await rig.waits();
  assert(up.lost > 60 && up.lost < 140, JSON.stringify(up));
  assert(down.lost === 0 && down.admitted >= up.admitted - up.lost, JSON.stringify(down));
});

import { assert, assertEquals } from "@std/assert";
import { canPunch, NAT_KINDS } from "../../testing/nat_kinds.ts";
import { testWith } from "../../testing/requirements.ts";
import { eventually } from "../../testing/waiting.ts";
import { INNER, PUBLIC, PunchScene, RELAY, RELAY_PORT } from "./fixtures/punch_scene.ts";

const needs = {
  netns: true,
  tools: ["ip", "nft", "sysctl", "ping", "iperf3"],
  files: ["/dev/net/tun"],
};

testWith(needs, "two ends behind port-restricted NATs become direct", async () => {
  await using scene = await PunchScene.open({ client: "port-restricted", exit: "port-restricted", relayDelayMs: 15 });
  const iperfServer = scene.hosts.exit.spawn(["iperf3", "-s"], { stdout: "null", stderr: "null" });
  await new Promise((r) => setTimeout(r, 450));
  const flow = scene.hosts.client.run([
    "iperf3",
    "-u",
    "-c",
    INNER.exit,
    "-b",
    Deno.env.get("B") ?? "50M",
    "-t",
    "5",
    "-l",
    "1200",
    "--bidir",
  ], { mayFail: true });
  await new Promise((r) => setTimeout(r, 1450));
  const t0 = performance.now();
  await scene.upgrade();
  const { way, at } = await scene.nextWay();
  console.log("direct after", performance.now() - t0);
  let prev = "", n = 0;
  for (let i = 0; i < 800; i++) {
    const p = (await scene.relay.ask("count")).passed as number;
    if (i % 25 === 0) {
      console.log(
        i,
        performance.now() - t0 | 0,
        await scene.endpointOf("client"),
        await scene.endpointOf("exit"),
        p - n,
      );
      n = p;
    }
    await new Promise((r) => setTimeout(r, 2));
    if (i > 300) break;
  }
  const r = await flow;
  console.log(r.stdout.split("\n").slice(-10).join("\n"), r.stderr);
});

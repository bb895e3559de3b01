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
  await using scene = await PunchScene.open({ client: "port-restricted", exit: "port-restricted" });
  const iperfServer = scene.hosts.exit.spawn(["iperf3","-s"], {stdout:"null",stderr:"null"});
  const t0 = performance.now();
  await new Promise((r) => setTimeout(r, 150));
  const flow = scene.hosts.client.run(["iperf3", "-u", "-c", INNER.exit, "-b", Deno.env.get("B") ?? "50M", "-t", "4", "-l", "1200", "--bidir"], {mayFail:true});
  const { way, at } = await scene.nextWay();
  console.log("direct after", performance.now() - t0);
  assertEquals([way, at], ["direct", `${PUBLIC.exit}:51002`]);
  for (let i = 0; i < 40; i++) {
    console.log(i, await scene.endpointOf("client"), await scene.endpointOf("exit"));
    await new Promise((r) => setTimeout(r, 30));
  }
  const r = await flow;
  console.log(r.stdout, r.stderr);
});

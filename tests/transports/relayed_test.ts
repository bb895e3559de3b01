/** A KCP client whose packets go by a relay that remembers nothing, and other people's dialects, as processes. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { testWith } from "../../testing/requirements.ts";
import { eventually } from "../../testing/waiting.ts";
import { Processes } from "../chaos/fixtures/processes.ts";
import { culvert, EchoTarget, Ends, freeUdpPort, reaches } from "./fixtures/ends.ts";

Deno.test("by a packet relay, which is killed and started again", async () => {
  await using processes = new Processes();
  await using ends = new Ends(processes);
  await using echo = new EchoTarget();
  const [port, relayed] = [freeUdpPort(), freeUdpPort()];
  await ends.server(port, { flags: ["--relayed-port", `${relayed}`] });
  const key = ["--key-file", processes.path("key"), "--client", "alice", "--allow", "127.0.0.0/8"];
  const relay = await processes.start("relay-packets", "relay", [...key, "--listen", "127.0.0.1:0"]);
  const listen = relay.addresses.listen!;
  const access = await culvert(
    "relay-packets",
    "--key-file",
    processes.path("key"),
    "--show",
    "alice",
    "--advertise",
    listen,
  );
  const url = await ends.invite("alice", relayed);
  const client = await ends.client([`${url}?via=${access}`]);
  await eventually("it gets through", () => reaches(client.addresses.listen!, echo.at));
  await eventually("the relay counts", async () => /packet_relay_packets_total [1-9]/.test(await relay.metrics()));
  await relay.kill();
  await processes.start("relay-packets", "again", [...key, "--listen", listen]);
  await eventually("it gets through again", () => reaches(client.addresses.listen!, echo.at));
});

for (
  const { dialect, key, settings } of [
    { dialect: "kcptun", key: "a passphrase", settings: "crypt=aes&mode=fast3" },
    { dialect: "paqet", key: "a passphrase", settings: "block=aes&mode=fast2" },
  ]
) {
  Deno.test(`${dialect}: server and client of ours, its links in the metrics of both`, async () => {
    await using processes = new Processes();
    await using ends = new Ends(processes);
    await using echo = new EchoTarget();
    const port = freeUdpPort();
    const server = await ends.server(port, { flags: ["--dialect", dialect, "--key", key] });
    const far = dialect === "kcptun" ? "&far=socks5" : "";
    const client = await ends.client([
      `kcp+udp://${encodeURIComponent(key)}@127.0.0.1:${port}/?dialect=${dialect}&${settings}${far}`,
    ]);
    assert(await reaches(client.addresses.listen!, echo.at));
    assertMatch(await client.metrics(), new RegExp(`${dialect}_client_dials_total\\{outcome="ok"\\} [1-9]`));
    for (const [end, side] of [[client, "client"], [server, "server"]] as const) {
      const metrics = () => end.metrics();
      assertMatch(await metrics(), new RegExp(`${dialect}_${side}_links_active\\{client=""\\} 1`));
      await eventually("the link is looked at", async () => {
        return new RegExp(`${dialect}_${side}_segments_total\\{client="",kind="sent"\\} [1-9]`).test(await metrics());
      });
    }
  });
}

testWith({ tools: ["promtool"] }, "promtool finds no fault with the metrics of either end", async () => {
  await using processes = new Processes();
  await using ends = new Ends(processes);
  await using echo = new EchoTarget();
  const port = freeUdpPort();
  const server = await ends.server(port);
  const client = await ends.client([await ends.invite("alice", port)]);
  await eventually("it gets through", () => reaches(client.addresses.listen!, echo.at));
  for (const end of [server, client]) {
    const child = new Deno.Command("promtool", { args: ["check", "metrics"], stdin: "piped", stderr: "piped" }).spawn();
    const input = child.stdin.getWriter();
    await input.write(new TextEncoder().encode(await end.metrics()));
    await input.close();
    const { code, stderr } = await child.output();
    assertEquals([code, new TextDecoder().decode(stderr)], [0, ""]);
  }
});

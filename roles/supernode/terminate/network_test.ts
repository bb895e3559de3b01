/** The terminating relay in namespaces: what a client of any make gets through it, and what never leaves it. */

import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { inNamespace } from "../../../native/fixtures/in_namespace.ts";
import type { NetNamespace } from "../../../testing/netns.ts";
import { testWith } from "../../../testing/requirements.ts";
import { INTERNET, INTERNET6, Scene } from "./fixtures/scene.ts";

const NEEDS = {
  netns: true,
  tools: ["ip", "nft", "wg", "wireguard-go", "ping", "curl", "tcpdump", "sysctl"],
  files: ["/dev/net/tun"],
};

/** Answers HTTP with the address it was asked from. */
function whoAmI(namespace: NetNamespace, hostname: string): Deno.HttpServer<Deno.NetAddr> {
  const handler = (_: Request, { remoteAddr }: { remoteAddr: Deno.Addr }) =>
    new Response((remoteAddr as Deno.NetAddr).hostname);
  return inNamespace(namespace, () => Deno.serve({ hostname, port: 0, onListen() {}, handler }));
}

async function curl(from: NetNamespace, { addr: { hostname, port } }: Deno.HttpServer<Deno.NetAddr>): Promise<string> {
  const host = hostname.includes(":") ? `[${hostname}]` : hostname;
  return (await from.run(["curl", "-sS", "--max-time", "5", `http://${host}:${port}/`], { mayFail: true })).stdout;
}

testWith(NEEDS, "a stock client comes out at the exit, over IPv4 and IPv6", async () => {
  await using scene = await Scene.open();
  await scene.start();
  const [exit] = scene.exits;
  await scene.connect(await scene.setUp("one", exit));
  await scene.client.run(["ping", "-c2", "-i0.2", "-W2", INTERNET]);
  await using http = whoAmI(scene.internet, INTERNET);
  assertEquals(await curl(scene.client, http), exit.address);
  await using http6 = whoAmI(scene.internet, INTERNET6);
  assertEquals(await curl(scene.client, http6), exit.address6);
});
void assert;
void assertNotEquals;

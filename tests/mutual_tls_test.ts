/**
 * Mutual TLS between supernodes, and between them and base: whoever has no TLS certificate of the operator's authority
 * does not even get to say who it is.
 */

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { ConfigError } from "../roles/config.ts";
import { role as base } from "../roles/base.ts";
import { startRole } from "../roles/role.ts";
import { role as supernode } from "../roles/supernode.ts";
import { testWith } from "../testing/requirements.ts";
import { TempDirectory } from "../testing/temp_directory.ts";
import { makeTlsCertificate, type TlsCertificate } from "../testing/tls_certificate.ts";
import { hello, Network } from "./fixtures/control_network.ts";

/** Whether a server at that URL answers somebody who shows that certificate. */
async function isAnswered(url: string, server: TlsCertificate, shown?: TlsCertificate): Promise<boolean> {
  using client = shown
    ? Deno.createHttpClient({ caCerts: [server.cert], cert: shown.cert, key: shown.key })
    : Deno.createHttpClient({ caCerts: [server.cert] });
  return await fetch(url, { client }).then(async (response) => {
    await response.body?.cancel();
    return true;
  }, () => false);
}

testWith({ tools: ["openssl"] }, "a network whose supernodes and base show each other TLS certificates", async () => {
  using folder = new TempDirectory();
  const server = await makeTlsCertificate(folder, "server");
  const [known, unknown] = [await makeTlsCertificate(folder, "known"), await makeTlsCertificate(folder, "unknown")];
  const tls = { certFile: server.certFile, keyFile: server.keyFile, clientCaFile: known.certFile };
  await using network = new Network({
    prepare: (_, role) => Promise.resolve(role === "base" ? tls : { caFile: server.certFile }),
  });
  const directory = await network.startBase();
  const baseUrl = `https://${directory.addresses["listen"]}`;
  const settings = {
    ...tls,
    base: [baseUrl],
    clientCertFile: known.certFile,
    clientKeyFile: known.keyFile,
    peeringListen: "127.0.0.1:0",
  };
  const north = await network.startSupernode("north", settings);
  const south = await network.startSupernode("south", settings);
  const exit = await network.startExit(south, "south");
  await network.until(() => network.hasSaid("Base was told", { region: "south", exits: 1 }));
  const { proxy } = await network.startClient(north, { region: "south" });
  const page = await hello(proxy);
  assertMatch(page, /^HTTP\/1\.[01] 200/);
  assertStringIncludes(page, exit.peerId);
  for (const url of [`${baseUrl}/healthz`, `https://${south.addresses["peering"]}/healthz`]) {
    const answers = [await isAnswered(url, server, known), await isAnswered(url, server, unknown)];
    assertEquals([...answers, await isAnswered(url, server)], [true, false, false], url);
  }
  using client = Deno.createHttpClient({ caCerts: [server.cert] });
  const main = await fetch(`https://${south.addresses["listen"]}/v1/exit-peers`, { method: "POST", client });
  assertEquals([main.status, (await main.json()).code], [404, "not_found"]);
});

const incomplete = [
  { name: "base: authorities without TLS", role: base, settings: { clientCaFile: "/dev/null" } },
  { name: "a supernode: a port without authorities", role: supernode, settings: { peeringListen: "127.0.0.1:0" } },
  { name: "a supernode: authorities without a port", role: supernode, settings: { clientCaFile: "/dev/null" } },
  { name: "a supernode: a certificate without its key", role: supernode, settings: { clientCertFile: "/dev/null" } },
];
for (const { name, role, settings } of incomplete) {
  Deno.test(`not enough for mutual TLS, at ${name}`, async () => {
    using folder = new TempDirectory();
    const config = role.config.parse({ listen: "127.0.0.1:0", kv: ":memory:", region: "north", ...settings });
    await using running = startRole(role as typeof base, config as never, { stateDir: folder.path("state") });
    const error = await running.done.catch((error: unknown) => error);
    assertEquals(error instanceof ConfigError, true, String(error));
  });
}

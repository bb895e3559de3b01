/**
 * TLS certificates that are renewed while a supernode runs: what is open stays, what is opened afterwards gets the new one.
 */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { serveHttp } from "../roles/http_server.ts";
import { Caller } from "../roles/mutual_tls.ts";
import { FakeClock } from "../testing/fake_clock.ts";
import { LogCollector } from "../testing/log_collector.ts";
import { testWith } from "../testing/requirements.ts";
import { TempDirectory } from "../testing/temp_directory.ts";
import { makeTlsCertificate, type TlsCertificate } from "../testing/tls_certificate.ts";
import { eventually } from "../testing/waiting.ts";
import { hastyClock, hello, Network } from "./fixtures/control_network.ts";

/** Puts a certificate where another was, key and certificate each at once. */
async function install(
  { certFile, keyFile }: TlsCertificate,
  at: { readonly certFile: string; readonly keyFile: string },
) {
  await Deno.copyFile(keyFile, at.keyFile);
  await Deno.copyFile(certFile, at.certFile);
}

testWith({ tools: ["openssl"] }, "a supernode's renewed certificate is for new connections; streams stay", async () => {
  using folder = new TempDirectory();
  const [old, renewed] = [await makeTlsCertificate(folder, "old"), await makeTlsCertificate(folder, "renewed")];
  const served = { certFile: folder.path("served.crt"), keyFile: folder.path("served.key") };
  await install(old, served);
  const caFile = folder.path("trusted.crt");
  await Deno.writeTextFile(caFile, old.cert + renewed.cert);
  await using network = new Network({
    clock: hastyClock,
    prepare: (_, role) => Promise.resolve(role === "supernode" ? served : { caFile }),
  });
  const here = await network.startSupernode("north");
  const { peerId } = await network.startExit(here, "north");
  const { proxy } = await network.startClient(here);
  assertStringIncludes(await hello(proxy), peerId);
  const streams = network.count("The control stream is open");

  /** Whether somebody who trusts only that certificate gets an answer. */
  async function isServed({ cert }: TlsCertificate): Promise<boolean> {
    using client = Deno.createHttpClient({ caCerts: [cert] });
    const answer = fetch(`https://${here.addresses["listen"]}/healthz`, { client });
    return await answer.then(async (response) => (await response.json()).status === "ok", () => false);
  }
  assertEquals([await isServed(old), await isServed(renewed)], [true, false]);
  await install(renewed, served);
  await network.until(() => network.hasSaid("The certificate was renewed"));
  // A connection that meets the older listener in its last moment is reset, and tries again.
  await eventually("the renewed certificate", () => isServed(renewed));
  assertEquals(await isServed(old), false);
  assertStringIncludes(await hello(proxy), peerId);
  assertEquals([network.count("The control stream is open"), network.linkCount()], [streams, 2]);
});

testWith({ tools: ["openssl"] }, "calls to others show a renewed certificate", async () => {
  using folder = new TempDirectory();
  const server = await makeTlsCertificate(folder, "server");
  const [old, renewed] = [await makeTlsCertificate(folder, "old"), await makeTlsCertificate(folder, "renewed")];
  const shown = { certFile: folder.path("shown.crt"), keyFile: folder.path("shown.key") };
  await install(old, shown);
  await using asking = await serveHttp({
    listen: { host: "127.0.0.1", port: 0 },
    what: "a test",
    flag: "--listen",
    tls: server,
    clientCa: renewed.cert,
    fetch: () => new Response("ok"),
  });
  const clock = new FakeClock();
  const log = new LogCollector();
  const settings = { caFile: server.certFile, clientCertFile: shown.certFile, clientKeyFile: shown.keyFile };
  using caller = (await Caller.open(settings, { action: "test", clock, log }))!;
  const call = () =>
    caller.fetch(new Request(`https://${asking.address}/`)).then((response) => response.text(), () => "refused");
  assertEquals(await call(), "refused");
  await install(renewed, shown);
  const taken = log.waitFor("The certificates for calls to others were renewed");
  clock.advance(10_000);
  await taken;
  assertEquals(await call(), "ok");
});

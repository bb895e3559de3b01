/**
 * `fetch` in fragments: the library in this process, relays and central as processes, and a site of this test.
 *
 *   createFragmentFetch ⇉ 3 upstreams ⇉ central ─ HTTP, HTTPS ─▶ site, and back by 3 downstreams
 */

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { createFragmentFetch } from "../../net/fragments/fetch.ts";
import { openFragments } from "../../net/fragments/open_fragments.ts";
import { clockOf } from "../../protocol/clock.ts";
import { silentLog } from "../../protocol/log.ts";
import { noMetrics } from "../../protocol/metrics.ts";
import { randomOf } from "../../protocol/random.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { makeTlsCertificate } from "../../testing/tls_certificate.ts";
import { within } from "../../testing/waiting.ts";
import { FragmentNetwork } from "../fixtures/relay_network.ts";
import { openRequestSite } from "../fixtures/request_site.ts";

const WORDS = "what only the central may read";
const BYTES = 3_000_000;

/** A path of this process, closed whole. */
function openPath(url: string) {
  const path = openFragments(url, {
    clock: clockOf(globalThis),
    random: randomOf(crypto),
    log: silentLog,
    metrics: noMetrics,
  });
  return {
    fetch: createFragmentFetch(path),
    async [Symbol.asyncDispose]() {
      path.close();
      await path.closed();
    },
  };
}

Deno.test("requests are made by the central, and answered in fragments", async (test) => {
  using folder = new TempDirectory();
  const [trusted, strange] = await Promise.all(
    ["trusted", "strange"].map((name) => makeTlsCertificate(folder, name)),
  );
  await using site = openRequestSite();
  await using network = await FragmentNetwork.start({
    centralFlags: () => Promise.resolve(["--ca-file", trusted!.certFile]),
  });
  await using path = openPath(network.url);
  const { fetch } = path;

  await test.step("with a body each way, read by no relay", async () => {
    const response = await fetch(`${site.url}/echo`, { method: "PUT", body: WORDS });
    assertEquals([response.status, response.headers.get("x-method")], [200, "PUT"]);
    assertEquals(await response.text(), WORDS);
    assertEquals(network.relays.filter(({ meddler }) => meddler.seen.has(WORDS)).length, 0);
    assertMatch(await network.central.metrics(), /^central_requests_total\S* [1-9]/m);
  });

  await test.step("with bodies that stream, the answer's before the request's has ended", async () => {
    const rest = Promise.withResolvers<void>();
    const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
      async start(controller) {
        controller.enqueue(Uint8Array.of(1, 2, 3));
        await rest.promise;
        for (let sent = 0; sent < BYTES; sent += 50_000) controller.enqueue(new Uint8Array(50_000).fill(sent / 50_000));
        controller.close();
      },
    });
    const response = await within("the answer", fetch(`${site.url}/echo`, { method: "POST", body }));
    const reader = response.body!.getReader();
    assertEquals((await within("the first bytes", reader.read())).value, Uint8Array.of(1, 2, 3));
    rest.resolve();
    let count = 0;
    for (let { value, done } = await reader.read(); !done; { value, done } = await reader.read()) {
      for (const byte of value!) assert(byte === (Math.floor(count++ / 50_000) & 0xff), `byte ${count} is wrong`);
    }
    assertEquals(count, BYTES);
  });

  await test.step("after redirects, as the request wishes", async () => {
    const followed = await fetch(`${site.url}/moved`, { method: "POST", body: WORDS });
    assertEquals(followed.headers.get("x-method"), "GET");
    assertEquals([followed.url, followed.redirected, await followed.text()], [`${site.url}/echo`, true, ""]);
    const manual = await fetch(`${site.url}/moved`, { redirect: "manual" });
    await manual.body?.cancel();
    assertEquals([manual.status, manual.headers.get("location")], [303, "/echo"]);
    await assertRejects(() => fetch(`${site.url}/moved`, { redirect: "error" }), TypeError);
  });

  await test.step("and broken off where they are not wanted any more", async () => {
    const stop = new AbortController();
    const response = await fetch(`${site.url}/endless`, { signal: stop.signal });
    const reader = response.body!.getReader();
    assert(!(await within("something", reader.read())).done);
    stop.abort();
    const drain = async () => {
      while (!(await reader.read()).done);
    };
    await assertRejects(() => within("the end", drain()), DOMException);
    await within("that the site was left", site.brokenOff);
  });

  await test.step("by TLS, where the central trusts the site, and else not", async () => {
    await using secure = openRequestSite(trusted);
    const response = await fetch(`${secure.url}/echo`, { method: "POST", body: WORDS });
    assertEquals(await response.text(), WORDS);
    await using other = openRequestSite(strange);
    const refusal = await assertRejects(() => fetch(`${other.url}/echo`), TypeError);
    assertMatch(refusal.message, /certificate|tls/i);
  });

  await test.step("not against the policy", async () => {
    await assertRejects(() => fetch("http://169.254.169.254/"), TypeError, "Cannot fetch");
  });
});

Deno.test("a central without request mode says so", async () => {
  await using site = openRequestSite();
  await using network = await FragmentNetwork.start({
    ...{ upstreams: 1, downstreams: 1 },
    centralFlags: () => Promise.resolve(["--no-allow-request-mode"]),
  });
  await using path = openPath(network.url.replace("data=2&total=3", "data=1&total=1"));
  const refusal = await assertRejects(() => path.fetch(`${site.url}/echo`), TypeError);
  assertMatch(refusal.message, /request/);
});

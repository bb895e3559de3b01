/**
 * A browser that fetches a site in fragments: Chromium, told to use the proxy for everything, its own machine included.
 *
 *   Chromium ─ HTTP proxy ─▶ proxy ⇉ 3 upstreams ⇉ central ─▶ site of this test, and back by 3 downstreams
 */

import { assert, assertEquals } from "@std/assert";
import { type Browser, chromium } from "playwright-core";
import { formatTarget } from "../../protocol/stream.ts";
import { findTool, testWith } from "../../testing/requirements.ts";
import { untilReachable } from "../../testing/socks_client.ts";
import { FILM_BYTES, filmByte, Site } from "../fixtures/site.ts";
import { FragmentNetwork } from "../fixtures/relay_network.ts";

async function startBrowser(proxy: string): Promise<Browser & AsyncDisposable> {
  const browser = await chromium.launch({
    executablePath: findTool("chromium")!,
    // Root has no sandbox; and without the last, a browser goes to its own machine by itself.
    args: ["--no-sandbox", "--disable-gpu", "--proxy-bypass-list=<-loopback>", `--proxy-server=http://${proxy}`],
  });
  return Object.assign(browser, { [Symbol.asyncDispose]: () => browser.close() });
}

testWith({ tools: ["chromium"] }, "Chromium shows a page with pictures, and jumps about in a film", async () => {
  await using site = new Site();
  await using network = await FragmentNetwork.start();
  const { hostname: host, port } = new URL(site.url);
  await untilReachable(network.at, { host, port: Number(port) });
  await using browser = await startBrowser(formatTarget(network.at));
  const page = await browser.newPage();
  await page.goto(site.url);
  assertEquals(await page.textContent("h1"), "It came in pieces");
  // A picture that has not come whole has no size.
  const widths = await page.locator("img").evaluateAll((all) => all.map((each) => Reflect.get(each, "naturalWidth")));
  assertEquals(widths, Array.from({ length: 12 }, () => 64));

  const from = 1_234_567;
  const got = await page.evaluate(async ({ from }) => {
    const response = await fetch("/film", { headers: { range: `bytes=${from}-${from + 999_999}` } });
    const bytes = new Uint8Array(await response.arrayBuffer());
    return { status: response.status, range: response.headers.get("content-range"), bytes: [...bytes.subarray(-1000)] };
  }, { from });
  assertEquals(got.status, 206);
  assertEquals(got.range, `bytes ${from}-${from + 999_999}/${FILM_BYTES}`);
  assertEquals(got.bytes, Array.from({ length: 1000 }, (_, at) => filmByte(from + 999_000 + at)));

  // A player asks in ranges by itself; nothing here is a film, but it asks before it knows.
  const asked = page.waitForResponse((response) => response.url().endsWith("/film") && response.status() === 206);
  await page.evaluate(`document.body.append(Object.assign(document.createElement("video"), { src: "/film" }))`);
  await asked;
  assert(site.asked.includes("/film bytes=0-"), `${site.asked}`);
  const carried = network.downstreams.map(({ meddler }) => meddler.seen.byteCount);
  assert(carried.every((bytes) => bytes > 50_000), `it came by every relay: ${carried}`);
  assertEquals(network.relays.filter(({ meddler }) => meddler.seen.has("It came in pieces")).length, 0);
});

/** What the pages reckon and word by themselves, held against what the rest of the house does. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import fc from "fast-check";
import { dashboardPageTable } from "../../edge/dashboard/page_table.ts";
import { pageFileTable } from "../../edge/orchestrator/page_table.ts";
import { peerPageTable } from "../../edge/peer_pages.ts";
import { bytesFor, decimal, money, parseMicros } from "../../edge/web/lib/money.js";
import { ago, bytes, duration, placeName } from "../../edge/web/lib/words.js";
import { mayAppeal, nodeState } from "../../edge/web/pages/node_state.js";
import { curlLine, loginName } from "../../edge/web/pages/proxy_login.js";
import { memoText, statementLines } from "../../edge/web/pages/statement_lines.js";
import { formatMicros, parseMicros as parseHouseMicros } from "../../protocol/sharing/money.ts";
import { pauseReasons } from "../../protocol/sharing/node_messages.ts";
import { parseProxyLogin } from "../../protocol/sharing/proxy_login.ts";
import { nodeStandings } from "../../protocol/sharing/records.ts";
import { node, USER_ID } from "./fixtures/orchestrator_records.ts";

const amounts = fc.bigInt({ min: -(10n ** 21n), max: 10n ** 21n });

Deno.test("pages read and write money as the ledger does", () => {
  fc.assert(fc.property(amounts, (amount) => {
    assertEquals(decimal(amount), formatMicros(amount));
    assertEquals(parseMicros(decimal(amount)), parseHouseMicros(formatMicros(amount)));
  }));
  fc.assert(fc.property(fc.string(), (text) => assertEquals(parseMicros(text), parseHouseMicros(text))));
});

Deno.test("money is shown in full, grouped and signed", () => {
  assertEquals(money("1234567.5", "eur"), "€1,234,567.50");
  assertEquals(money("-0.000391", "USD"), "−$0.000391");
  assertEquals(money("0.1", "chf", { signed: true }), "+0.10 CHF");
  assertEquals(money("none", "eur"), "none");
  assertEquals(bytesFor(1_900_000n, 950_000n), 2n << 30n);
  assertEquals(bytesFor(1n, 0n), undefined);
});

Deno.test("a login that pages put together is read as it was chosen", () => {
  const name = fc.stringMatching(/^[a-z0-9][a-z0-9-]{0,30}$/);
  const way = fc.record({
    country: fc.option(fc.stringMatching(/^[a-z]{2}$/), { nil: undefined }),
    region: fc.option(name, { nil: undefined }),
    city: fc.option(name, { nil: undefined }),
    session: fc.option(fc.stringMatching(/^[A-Za-z0-9_]{1,32}$/), { nil: undefined }),
    ttlMinutes: fc.option(fc.integer({ min: 1, max: 1440 }), { nil: undefined }),
    isStrict: fc.boolean(),
  });
  fc.assert(fc.property(way, (wanted) => {
    const login = parseProxyLogin(loginName({ userId: USER_ID, ...wanted }));
    assert(typeof login !== "string", String(login));
    const { country, region, city } = wanted;
    assertEquals(login.choice, { country, region, city, nodeId: undefined });
    const { session, ttlMinutes = 10, isStrict } = wanted;
    assertEquals(
      login.session,
      session === undefined ? undefined : { id: session, ttlMs: ttlMinutes * 60_000, isStrict },
    );
  }));
});

Deno.test("a line for a shell ends where it should, whatever is in it", () => {
  const line = curlLine("http", { host: "::1", port: 1, login: "a", secret: "x'; rm -rf ~ #" });
  assertEquals(line, "curl --proxy 'http://a:x%27%3B%20rm%20-rf%20~%20%23@[::1]:1' https://api.ipify.org");
});

Deno.test("every standing and every pause is explained to a node's owner", () => {
  const { live } = node();
  for (const standing of nodeStandings) {
    const state = nodeState(
      node({ standing, reasons: [{ atMs: 0, standing, reason: "the probes fail" }] }),
      Date.now(),
    );
    assert(state.headline.length > 0 && state.label.length > 0, standing);
    if (standing === "quarantined" || standing === "banned") {
      assertStringIncludes(state.headline, "because: the probes fail.");
    }
  }
  for (const pausedFor of pauseReasons) {
    const state = nodeState(node({ live: { ...live!, status: { ...live!.status!, pausedFor } } }), Date.now());
    assert(["Paused", "Cap reached"].includes(state.label), pausedFor);
    assert(state.advice !== undefined, pausedFor);
  }
  const offline = nodeState(node({ live: undefined, lastSeenAtMs: 0 }), 7_200_000);
  assertEquals(offline.headline, "It is not connected; it was last seen 2 hours ago.");
});

Deno.test("an appeal can be made against a bad standing, one at a time", () => {
  assert(!mayAppeal(node()));
  assert(mayAppeal(node({ standing: "banned" })));
  assert(!mayAppeal(node({ standing: "banned", appeal: { atMs: 0, text: "why?" } })));
  assert(mayAppeal(node({ standing: "banned", appeal: { atMs: 0, text: "why?", answer: "because" } })));
});

Deno.test("sizes, spans and places read as people say them", () => {
  assertEquals([bytes(0), bytes(999), bytes(1536), bytes(20 * 2 ** 30)], ["0 B", "999 B", "1.50 KiB", "20.0 GiB"]);
  assertEquals([duration(1000), duration(90_000), duration(26 * 3_600_000)], ["1 second", "1 minute", "26 hours"]);
  assertEquals(placeName({ city: "frankfurt-am-main", country: "de" }), "Frankfurt Am Main, Germany");
  assertEquals(placeName({}), "unknown country");
});

Deno.test("every file of the pages is served, and nothing else", async () => {
  const folder = new URL("../../edge/web/", import.meta.url);
  const found: string[] = [];
  const read = async (under: string) => {
    for await (const { name, isDirectory } of Deno.readDir(new URL(under, folder))) {
      if (isDirectory) await read(`${under}${name}/`);
      else if (!name.endsWith(".json") && name !== "index.html") found.push(under + name);
    }
  };
  await read("");
  const others = ["index.html", "lib/uplot.js", "lib/uplot.css"];
  assertEquals(
    Object.keys({ ...pageFileTable(), ...peerPageTable(), ...dashboardPageTable() }).sort(),
    [...found, ...others].sort(),
  );
});

Deno.test("no page turns text into markup", async () => {
  const all = [pageFileTable(), peerPageTable(), dashboardPageTable()].flatMap((table) => Object.entries(table));
  const sources = all.filter(([name]) => name.endsWith(".js") && name !== "lib/uplot.js");
  for (const [name, load] of sources) {
    const { default: text } = await load();
    assert(!/innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function/.test(text), name);
    assert(
      !/https?:\/\/(?!oauth\.telegram\.org|api\.ipify\.org|www\.w3\.org)/.test(text),
      `${name} names another site`,
    );
  }
});

Deno.test("a statement's traffic is a line an hour, which adds up to the last digit", () => {
  const hourMs = 3_600_000;
  const charge = (atMs: number, amount: string, memo?: Record<string, string | number>) => (
    {
      id: `${atMs}`,
      atMs,
      reason: memo ? "traffic" as const : "fee" as const,
      amount,
      isPending: false,
      ...memo && { memo },
    }
  );
  const lines = statementLines([
    charge(9 * hourMs + 20, "-0.000002"),
    charge(9 * hourMs + 10, "-0.100001", { region: "eu-west", up: 1024, down: 2048, node: "n" }),
    { id: "p", atMs: 9 * hourMs + 5, reason: "payout", amount: "-4.00", isPending: true, memo: { payout: "p-1" } },
    charge(9 * hourMs, "-0.2", { region: "eu-north", up: 0, down: 2048, node: "m" }),
    charge(9 * hourMs - 1, "-0.3", { region: "eu-west", up: 0, down: 0, node: "n" }),
  ]);
  assertEquals(lines.map(({ reason, amount, isPending }) => [reason, amount, isPending]), [
    ["traffic", -300_003n, false],
    ["payout", -4_000_000n, true],
    ["traffic", -300_000n, false],
  ]);
  assertEquals(lines[0]!.about, "4.00 KiB down, 1.00 KiB up through eu-north, eu-west");
  assertEquals(lines[1]!.about, "payout p-1");
  assertEquals(memoText({ note: "a transfer that came by post", n: 3 }), "a transfer that came by post, n 3");
});

Deno.test("what is to come is as far off as it was set", () => {
  const dayMs = 86_400_000;
  assertEquals(ago(7 * dayMs - 1000, 0), "in 7 days");
  assertEquals(ago(0, 7 * dayMs - 1000), "6 days ago");
});

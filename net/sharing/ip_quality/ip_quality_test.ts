import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import fc from "fast-check";
import { CulvertError } from "../../../protocol/errors.ts";
import { contains, formatIp, parseCidr, parseIp } from "../../../protocol/ip.ts";
import { silentLog } from "../../../protocol/log.ts";
import { noMetrics } from "../../../protocol/metrics.ts";
import { readIpqsAnswer } from "../../../protocol/sharing/ipqs_answer.ts";
import { FakeClock } from "../../../testing/fake_clock.ts";
import { LogCollector } from "../../../testing/log_collector.ts";
import { TempDirectory } from "../../../testing/temp_directory.ts";
import { type AddressRisk, IpQuality, type IpQualityProvider, UNKNOWN_RISK, worst } from "./ip_quality.ts";
import { Ipqs } from "./ipqs.ts";
import { KeptAnswers } from "./kept_answers.ts";
import { RangeList } from "./range_list.ts";

const DAY_MS = 24 * 3_600_000;
const KEY = "SeCrEtKeY123";
const address = (text: string) => parseIp(text)!;
const { signal } = new AbortController();

/** Answers as told, and counts. */
class Oracle implements IpQualityProvider {
  readonly name = "oracle";
  asked: string[] = [];
  answer: () => Promise<AddressRisk> = () => Promise.resolve({ risk: 0.25, isHosting: false });

  look(address: Uint8Array<ArrayBuffer>): Promise<AddressRisk> {
    this.asked.push(formatIp(address));
    return this.answer();
  }
}

function kept(oracle: Oracle, options: { readonly maxKept?: number } = {}) {
  const clock = new FakeClock();
  return { clock, provider: new KeptAnswers(oracle, { clock, log: silentLog, ...options }) };
}

function ipqs(answer: () => Response | Promise<Response>) {
  const urls: URL[] = [];
  const fetch = (url: URL) => {
    urls.push(url);
    return Promise.try(answer);
  };
  return { urls, ipqs: new Ipqs({ key: KEY, fetch: fetch as typeof globalThis.fetch }) };
}

Deno.test("the worst of several answers counts, and those that know nothing do not", () => {
  assertEquals(worst([]), UNKNOWN_RISK);
  assertEquals(worst([UNKNOWN_RISK, { risk: 0.2, isHosting: undefined }]), { risk: 0.2, isHosting: undefined });
  assertEquals(worst([{ risk: 0.2, isHosting: false }, { risk: 0.7, isHosting: true }]), {
    risk: 0.7,
    isHosting: true,
  });
});

Deno.test("nobody is asked about addresses that are not public, or are none", async () => {
  const oracle = new Oracle();
  const clock = new FakeClock();
  const quality = new IpQuality({ providers: [oracle], clock, log: silentLog, metrics: noMetrics });
  for (const text of ["127.0.0.1", "10.0.0.1", "fd00::1", "example.com", ""]) {
    assertEquals(await quality.riskOf(text), UNKNOWN_RISK, text);
  }
  assertEquals(oracle.asked, []);
  assertEquals((await quality.riskOf("1.1.1.1")).risk, 0.25);
});

Deno.test("a provider that fails or hangs has said nothing, and holds nobody up", async () => {
  const clock = new FakeClock();
  const failing = new Oracle();
  failing.answer = () => Promise.reject(new Error("down"));
  const hanging = new Oracle();
  hanging.answer = () => new Promise(() => {});
  const providers = [failing, hanging, new Oracle()];
  const quality = new IpQuality({ providers, clock, log: silentLog, metrics: noMetrics });
  assertEquals((await clock.runUntil(quality.riskOf("1.1.1.1"))).risk, 0.25);
  assertEquals(clock.now(), 5_000);
  assertEquals(clock.pendingTimers, 0);
});

Deno.test("an answer is kept for a day, for all of an IPv6 home", async () => {
  const oracle = new Oracle();
  const { clock, provider } = kept(oracle);
  const looks = ["1.1.1.1", "1.1.1.1", "2606:4700:0:1::1", "2606:4700:0:1:ffff::", "2606:4700:0:2::1"];
  for (const text of looks) await provider.look(address(text), signal);
  assertEquals(oracle.asked, ["1.1.1.1", "2606:4700:0:1::1", "2606:4700:0:2::1"]);
  clock.advance(DAY_MS - 1);
  await provider.look(address("1.1.1.1"), signal);
  assertEquals(oracle.asked.length, 3);
  clock.advance(1);
  await provider.look(address("1.1.1.1"), signal);
  assertEquals(oracle.asked.length, 4);
  assertThrows(() => new KeptAnswers(oracle, { clock, log: silentLog, keepMs: 1000 }), CulvertError, "at least a day");
});

Deno.test("who asks together causes one look, which goes on for those who come later", async () => {
  const oracle = new Oracle();
  const { promise, resolve } = Promise.withResolvers<AddressRisk>();
  oracle.answer = () => promise;
  const { provider } = kept(oracle);
  const impatient = new AbortController();
  const first = provider.look(address("1.1.1.1"), impatient.signal);
  const second = provider.look(address("1.1.1.1"), signal);
  impatient.abort(new Error("no time"));
  await assertRejects(() => first, Error, "no time");
  resolve({ risk: 1, isHosting: true });
  assertEquals((await second).risk, 1);
  assertEquals(oracle.asked.length, 1);
});

Deno.test("after a failure the provider is left alone, longer each time, and an old answer is better than none", async () => {
  const oracle = new Oracle();
  const { clock, provider } = kept(oracle);
  await provider.look(address("1.1.1.1"), signal);
  clock.advance(DAY_MS);
  const good = oracle.answer;
  oracle.answer = () => Promise.reject(new Error("quota"));
  assertEquals((await provider.look(address("1.1.1.1"), signal)).risk, 0.25);
  await assertRejects(() => provider.look(address("8.8.8.8"), signal), CulvertError, "failed just before");
  assertEquals(oracle.asked.length, 2);
  clock.advance(30_000);
  await assertRejects(() => provider.look(address("8.8.8.8"), signal), Error, "quota");
  clock.advance(30_000);
  await assertRejects(() => provider.look(address("8.8.8.8"), signal), CulvertError, "failed just before");
  oracle.answer = good;
  clock.advance(30_000);
  assertEquals((await provider.look(address("8.8.8.8"), signal)).risk, 0.25);
  assertEquals(clock.pendingTimers, 0);
});

Deno.test("the oldest answers go when there are too many", async () => {
  const oracle = new Oracle();
  const { provider } = kept(oracle, { maxKept: 2 });
  for (const text of ["1.1.1.1", "8.8.8.8", "9.9.9.9", "9.9.9.9", "1.1.1.1"]) {
    await provider.look(address(text), signal);
  }
  assertEquals(oracle.asked, ["1.1.1.1", "8.8.8.8", "9.9.9.9", "1.1.1.1"]);
});

Deno.test("IPQualityScore is asked as it documents, and its score is the risk", async () => {
  const said = { success: true, fraud_score: 75, connection_type: "Data Center", proxy: true, message: "Success" };
  const { ipqs: provider, urls } = ipqs(() => Response.json(said));
  assertEquals(await provider.look(address("2606:4700::1"), signal), { risk: 0.75, isHosting: true });
  assertEquals(urls[0]!.origin + urls[0]!.pathname, `https://ipqualityscore.com/api/json/ip/${KEY}/2606%3A4700%3A%3A1`);
  const home = ipqs(() => Response.json({ success: true, fraud_score: 0, connection_type: "Residential" }));
  assertEquals(await home.ipqs.look(address("1.1.1.1"), signal), { risk: 0, isHosting: false });
  const bare = ipqs(() => Response.json({ success: true, fraud_score: 100 }));
  assertEquals(await bare.ipqs.look(address("1.1.1.1"), signal), { risk: 1, isHosting: undefined });
});

Deno.test("whatever IPQualityScore answers instead is an error that does not tell the key", async () => {
  const table: [name: string, answer: () => Response, words: string][] = [
    ["a quota", () => Response.json({ success: false, message: "You have exceeded your request quota" }), "exceeded"],
    ["too often", () => new Response("slow down", { status: 429 }), "429"],
    ["no JSON", () => new Response("<html>"), "not understood"],
    ["a wrong score", () => Response.json({ success: true, fraud_score: 1000 }), "not understood"],
    ["without end", () => new Response("x".repeat(100_000)), "too much"],
    ["nothing", () => {
      throw new TypeError(`error sending request for url (https://ipqualityscore.com/api/json/ip/${KEY}/1.1.1.1)`);
    }, "Cannot reach"],
  ];
  for (const [name, answer, words] of table) {
    const error = await assertRejects(
      () => ipqs(answer).ipqs.look(address("1.1.1.1"), signal),
      CulvertError,
      words,
      name,
    );
    assert(!`${error.message}${error.stack}${error.cause}`.includes(KEY), name);
  }
  assertThrows(() => new Ipqs({ key: "../admin", fetch }), CulvertError, "letters and digits");
});

Deno.test("a log never tells the key", async () => {
  const clock = new FakeClock();
  const log = new LogCollector();
  const { ipqs: provider } = ipqs(() => new Response("", { status: 500 }));
  const providers = [new KeptAnswers(provider, { clock, log })];
  await new IpQuality({ providers, clock, log, metrics: noMetrics }).riskOf("1.1.1.1");
  assert(log.lines.length > 0);
  assert(!JSON.stringify(log.lines).includes(KEY));
});

Deno.test("of a list of ranges the longest prefix decides", async () => {
  using temp = new TempDirectory();
  const path = temp.path("ranges");
  const lines = [
    "# data centres",
    "203.0.113.0/24  hosting   # one",
    "198.51.100.0/24 0.9",
    "198.51.100.7    0 home",
    "",
    "2001:db8::/32 hosting 0.6",
  ];
  Deno.writeTextFileSync(path, lines.join("\r\n"));
  const list = await RangeList.load(path);
  assertEquals(list.size, 4);
  const table: [text: string, said: AddressRisk][] = [
    ["203.0.113.255", { risk: undefined, isHosting: true }],
    ["198.51.100.6", { risk: 0.9, isHosting: undefined }],
    ["198.51.100.7", { risk: 0, isHosting: false }],
    ["2001:db8:1::1", { risk: 0.6, isHosting: true }],
    ["1.1.1.1", UNKNOWN_RISK],
    ["2001:db9::1", UNKNOWN_RISK],
  ];
  for (const [text, said] of table) assertEquals(await list.look(address(text)), said, text);
  await assertRejects(() => RangeList.load(temp.path("nowhere")), CulvertError, "Cannot read");
});

Deno.test("wrong lines are named, and no text at all breaks it otherwise", () => {
  for (const line of ["hello hosting", "1.1.1.1", "1.1.1.0/24 2", "1.1.1.0/24 -0.5", "1.1.1.0/24 home hosting"]) {
    assertThrows(() => new RangeList(`# fine\n${line}`, "ranges"), CulvertError, "line 2 must be a network");
  }
  fc.assert(fc.property(fc.string(), (text) => {
    try {
      new RangeList(text, "ranges");
    } catch (error) {
      assert(error instanceof CulvertError);
    }
  }));
});

Deno.test("a look finds what a search through all lines would", async () => {
  const network = fc.record({
    bytes: fc.uint8Array({ minLength: 4, maxLength: 4 }),
    bits: fc.integer({ min: 0, max: 32 }),
  });
  const risk = fc.integer({ min: 0, max: 99 }).map((percent) => percent / 100);
  await fc.assert(fc.asyncProperty(
    fc.array(fc.tuple(network, risk), { minLength: 1, maxLength: 20 }),
    fc.uint8Array({ minLength: 4, maxLength: 4 }),
    async (rows, bytes) => {
      const lines = rows.map(([{ bytes, bits }, risk]) => {
        const masked = bytes.map((byte, at) => byte & 0xff << Math.max(0, Math.min(8, 8 * (at + 1) - bits)));
        return { cidr: parseCidr(`${masked.join(".")}/${bits}`)!, text: `${masked.join(".")}/${bits} ${risk}`, risk };
      });
      const list = new RangeList(lines.map(({ text }) => text).join("\n"), "ranges");
      const where = new Uint8Array(bytes);
      const holding = lines.filter(({ cidr }) => contains(cidr, where));
      const bits = Math.max(...holding.map(({ cidr }) => cidr.bits));
      const last = holding.filter(({ cidr }) => cidr.bits === bits).at(-1);
      assertEquals((await list.look(where)).risk, last?.risk);
    },
  ));
});

Deno.test("any text at all is an answer of IPQualityScore's or none", () => {
  const near = fc.record({ success: fc.boolean(), fraud_score: fc.jsonValue(), connection_type: fc.jsonValue() });
  fc.assert(fc.property(fc.oneof(fc.string(), fc.json(), near.map((value) => JSON.stringify(value))), (text) => {
    const answer = readIpqsAnswer(text);
    assert(!answer?.success || (answer.fraud_score >= 0 && answer.fraud_score <= 100));
  }));
});

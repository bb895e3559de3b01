import { assertEquals, assertStringIncludes } from "@std/assert";
import { parseIp } from "../../protocol/ip.ts";
import * as found from "./findings.ts";
import type { Finding } from "./findings.ts";

const silence: found.AnswerFacts = {
  where: "192.0.2.1:443",
  carrier: "raw",
  asked: 3,
  roundTripsMs: [],
  strangePackets: 0,
};

const rows: readonly (readonly [name: string, finding: Finding, verdict: found.Verdict, words: string])[] = [
  ["all rights", found.rightsFinding("000001ffffffffff"), "ok", "may send raw packets"],
  ["no rights", found.rightsFinding("0"), "problem", "CAP_NET_RAW, to send and receive raw packets and CAP_NET_ADMIN"],
  ["one right", found.rightsFinding("2000"), "problem", "lacks CAP_NET_ADMIN"],
  ["rights unknown", found.rightsFinding(undefined), "problem", "lacks CAP_NET_RAW"],
  ["answers", found.answerFinding({ ...silence, roundTripsMs: [5.04, 3.01, 9] }), "ok", "in 3 ms at best"],
  ["loss", found.answerFinding({ ...silence, roundTripsMs: [5] }), "warning", "answered 1 of 3 times"],
  ["silence", found.answerFinding(silence), "problem", "Nothing comes back from 192.0.2.1:443: the keys differ"],
  [
    "noise",
    found.answerFinding({ ...silence, packets: 2 }),
    "problem",
    "Packets come back, but none that is an answer",
  ],
  ["resets", found.answerFinding({ ...silence, packets: 2, resets: 2 }), "problem", "answers with resets"],
  ["another key", found.answerFinding({ ...silence, strangePackets: 1 }), "problem", "that this key does not open"],
  ["refused", found.answerFinding({ ...silence, carrier: "udp", isRefused: true }), "problem", "nobody receives UDP"],
  ["refused, of no matter", found.answerFinding({ ...silence, isRefused: true }), "problem", "Nothing comes back"],
  [
    "an error",
    found.answerFinding({ ...silence, error: { code: "unauthorized", message: "The server does not know it" } }),
    "problem",
    "does not know it",
  ],
  ["clocks agree", found.clockFinding(Date.UTC(2026, 5, 1), 300), "ok", "agree"],
  ["a clock behind", found.clockFinding(Date.UTC(2026, 5, 1), 61_000), "warning", "61 s behind the server's"],
  ["a clock ahead", found.clockFinding(Date.UTC(2026, 5, 1), -61_000), "warning", "61 s ahead of the server's"],
  ["no clock", found.clockFinding(0), "problem", "believes it is 1970-01-01 00:00 UTC"],
  ["nobody's clock", found.clockFinding(Date.UTC(2026, 5, 1)), "skipped", "2026-06-01"],
  ["a whole path", found.mtuFinding({ payloadBytes: 1448, overheadBytes: 52 }), "ok", "up to 1500 bytes get there"],
  ["a narrow path", found.mtuFinding({ payloadBytes: 1348, overheadBytes: 52 }), "warning", "up to 1400 bytes"],
  ["too narrow a path", found.mtuFinding({ payloadBytes: 1000, overheadBytes: 52 }), "problem", "up to 1052 bytes"],
  ["a router's word", found.mtuFinding({ overheadBytes: 28, routersBytes: 1492 }), "warning", "up to 1492 bytes only"],
  ["no word", found.mtuFinding({ overheadBytes: 28, routersBytes: 1500 }), "ok", "No router refuses"],
  ["nothing known", found.mtuFinding({ overheadBytes: 28 }), "skipped", "Nothing tells"],
  ["no guard", found.guardFinding(undefined, 443), "problem", "Nobody guards port 443"],
  ["a guard", found.guardFinding({ way: "nft", firstPort: 443, resets: 2 }, 443), "ok", "2 resets were kept back"],
  ["a guard of old", found.guardFinding({ way: "iptables", firstPort: 443 }, 443), "ok", "by iptables"],
  [
    "nothing came",
    found.arrivalsFinding({ seconds: 10, packets: 0, resetsSent: 0 }),
    "warning",
    "No packet came in 10 s",
  ],
  [
    "came without a key",
    found.arrivalsFinding({ seconds: 10, packets: 5, from: "192.0.2.9", resetsSent: 0 }),
    "ok",
    "with --key it is told",
  ],
  [
    "some are genuine",
    found.arrivalsFinding({ seconds: 10, packets: 5, opened: 3, from: "192.0.2.9", resetsSent: 0 }),
    "ok",
    "3 of them sealed with this key",
  ],
  ["no host", found.noWayFinding(new Error("Cannot look up x")), "problem", "Cannot look up x"],
];

Deno.test("every state has its words, and every problem something to do about it", () => {
  for (const [name, finding, verdict, words] of rows) {
    assertEquals(finding.verdict, verdict, name);
    assertStringIncludes(finding.says, words, name);
    if (verdict === "problem" || verdict === "warning") assertEquals(typeof finding.advice, "string", name);
  }
});

Deno.test("the way is told with all that is known of it", () => {
  const route = {
    linkIndex: 2,
    interfaceName: "eth0",
    hardware: "ethernet",
    source: parseIp("10.0.0.2")!,
    mtuBytes: 1500,
  } as const;
  assertEquals(
    found.wayFinding("192.0.2.1", {
      ...route,
      gateway: parseIp("10.0.0.1")!,
      mac: Uint8Array.of(2, 0, 0, 0, 0, 255),
    }).says,
    "Packets to 192.0.2.1 leave by eth0 from 10.0.0.2 by the gateway 10.0.0.1 at 02:00:00:00:00:ff; the MTU is 1500",
  );
  assertEquals(
    found.wayFinding("10.0.0.3", route).says,
    "Packets to 10.0.0.3 leave by eth0 from 10.0.0.2; the MTU is 1500",
  );
});

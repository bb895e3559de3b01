import { assertEquals, assertThrows } from "@std/assert";
import { CulvertError } from "../errors.ts";
import { bareSeal } from "../packet_layer/checked_seal.ts";
import { paqetDefaults, paqetKcp, paqetMux, paqetSettings, paqetShards } from "./paqet_settings.ts";

Deno.test("the defaults are those of alpha.21", () => {
  const common = {
    key: "",
    block: "aes",
    mode: "fast",
    mtu: 1350,
    dshard: 0,
    pshard: 0,
    nodelay: 0,
    interval: 0,
    resend: 0,
    nocongestion: 0,
    wdelay: false,
    acknodelay: false,
    smuxbuf: 4_194_304,
    streambuf: 2_097_152,
    smuxkalive: 2,
    smuxktimeout: 8,
  } as const;
  assertEquals(paqetDefaults, {
    client: { ...common, sndwnd: 128, rcvwnd: 512 },
    server: { ...common, sndwnd: 1024, rcvwnd: 1024 },
  });
});

Deno.test("what they mean for smux", () => {
  assertEquals(paqetMux(paqetSettings("server", { key: "k" })), {
    version: 2,
    extensions: false,
    maxPayloadBytes: 65_535,
    windowBytes: 2_097_152,
    sessionBufferBytes: 4_194_304,
    keepAliveIntervalMs: 2000,
    keepAliveTimeoutMs: 8000,
  });
});

const modes = [
  ["normal", [false, 40, 2, "none", true, false]],
  ["fast", [false, 30, 2, "none", true, false]],
  ["fast2", [true, 20, 2, "none", false, true]],
  ["fast3", [true, 10, 2, "none", false, true]],
  ["manual", [true, 60, 5, "kcp", true, false]],
] as const;
for (const [mode, expected] of modes) {
  Deno.test(`the mode ${mode} is paqet's`, () => {
    const given = { key: "k", mode, nodelay: 1, interval: 60, resend: 5, wdelay: true, nocongestion: 0 };
    const kcp = paqetKcp(paqetSettings("client", given), { ...bareSeal, headBytes: 20 });
    const { noDelay, intervalMs, fastResend, congestion, writeDelay, ackNoDelay } = kcp;
    assertEquals([noDelay, intervalMs, fastResend, congestion, writeDelay, ackNoDelay], [...expected]);
    assertEquals([kcp.mtuBytes, kcp.sendWindow, kcp.receiveWindow], [1330, 128, 512]);
  });
}

Deno.test("all of a manual mode counts", () => {
  const given = { key: "k", mode: "manual", nocongestion: 1, acknodelay: true, dshard: 10, pshard: 3 } as const;
  const settings = paqetSettings("client", given);
  const { noDelay, congestion, ackNoDelay, writeDelay, mtuBytes } = paqetKcp(settings, bareSeal);
  assertEquals([noDelay, congestion, ackNoDelay, writeDelay, mtuBytes], [false, "none", true, false, 1342]);
  assertEquals(paqetShards(settings), { dataShards: 10, parityShards: 3 });
});

const refused = [
  [{}, "key must be given"],
  [{ key: "k", mtu: 1501 }, "mtu must be 100 to 1500, got 1501"],
  [{ key: "k", sndwnd: 0 }, "sndwnd must be 1 to 32768, got 0"],
  [{ key: "k", resend: -1 }, "resend must be 0 to 254, got -1"],
  [{ key: "k", smuxkalive: 8 }, "smuxktimeout must be 9 to 7200, got 8"],
  [{ key: "k", dshard: 30, pshard: 3 }, "at most 32 together"],
] as const;
for (const [given, message] of refused) {
  Deno.test(`refused: ${JSON.stringify(given)}`, () => {
    assertThrows(() => paqetSettings("client", given), CulvertError, message);
  });
}

import { assertEquals } from "@std/assert";
import { bareSeal } from "./checked_seal.ts";
import { kcptunDefaults, kcptunKcp, kcptunMux, kcptunSettings, kcptunShards } from "./kcptun_settings.ts";

Deno.test("the defaults are those of Debian's kcptun", () => {
  const common = {
    key: "it's a secrect",
    crypt: "aes",
    mode: "fast",
    mtu: 1350,
    datashard: 10,
    parityshard: 3,
    nocomp: false,
    acknodelay: false,
    nodelay: 0,
    interval: 50,
    resend: 0,
    nc: 0,
    smuxver: 1,
    smuxbuf: 4_194_304,
    streambuf: 2_097_152,
    keepalive: 10,
  } as const;
  assertEquals(kcptunDefaults, {
    client: { ...common, sndwnd: 128, rcvwnd: 512 },
    server: { ...common, sndwnd: 1024, rcvwnd: 1024 },
  });
});

Deno.test("what they mean for smux", () => {
  const { blockPool: _, ...mux } = kcptunMux(kcptunSettings("client"));
  assertEquals(mux, {
    version: 1,
    extensions: false,
    windowBytes: 2_097_152,
    sessionBufferBytes: 4_194_304,
    keepAliveIntervalMs: 10_000,
    keepAliveTimeoutMs: 30_000,
  });
});

Deno.test("segments fill what nonce, checksum and FEC leave of a datagram", () => {
  // 24 of each are a segment's own head: 1298 and 1306 bytes of a stream, as measured with kcptun.
  const seal = { ...bareSeal, headBytes: 20 };
  assertEquals(kcptunKcp(kcptunSettings("client"), seal).mtuBytes, 1298 + 24);
  assertEquals(kcptunKcp(kcptunSettings("client", { parityshard: 0 }), seal).mtuBytes, 1306 + 24);
  assertEquals(kcptunShards(kcptunSettings("client", { datashard: 0 })), undefined);
});

const modes = [
  ["normal", [false, 40, 2, "none", false, false]],
  ["fast", [false, 30, 2, "none", false, false]],
  ["fast2", [true, 20, 2, "none", false, false]],
  ["fast3", [true, 10, 2, "none", false, false]],
  ["manual", [true, 60, 5, "kcp", false, false]],
] as const;
for (const [mode, expected] of modes) {
  Deno.test(`the mode ${mode} is kcptun's, and never delays what is written`, () => {
    const settings = kcptunSettings("server", { mode, nodelay: 1, interval: 60, resend: 5, nc: 0 });
    const kcp = kcptunKcp(settings, bareSeal);
    const { noDelay, intervalMs, fastResend, congestion, writeDelay, ackNoDelay } = kcp;
    assertEquals([noDelay, intervalMs, fastResend, congestion, writeDelay, ackNoDelay], [...expected]);
    assertEquals([kcp.sendWindow, kcp.receiveWindow], [1024, 1024]);
    assertEquals(kcptunKcp({ ...settings, acknodelay: true, nc: 1 }, bareSeal).ackNoDelay, true);
  });
}

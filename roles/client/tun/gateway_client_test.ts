import { assertEquals, assertRejects } from "@std/assert";
import { CulvertError } from "../../../protocol/errors.ts";
import { parseIp } from "../../../protocol/ip.ts";
import { encodeGateway, GATEWAY_PORT, type GatewayMessage, parseGateway } from "../../../protocol/packets/gateway.ts";
import type { Endpoint } from "../../../protocol/wireguard/settings.ts";
import { FakeClock } from "../../../testing/fake_clock.ts";
import { GatewayClient } from "./gateway_client.ts";

const GATEWAY = parseIp("10.201.0.1")!;
const ID = "AAAAAAAAAAAAAAAAAAAAAA";
const OTHER_ID = "BBBBBBBBBBBBBBBBBBBBBA";
const signal = new AbortController().signal;

class Rig implements Disposable {
  readonly clock = new FakeClock();
  readonly sent: { atMs: number; message: GatewayMessage | undefined }[] = [];
  readonly #arrived: { bytes: Uint8Array; from: Endpoint }[] = [];
  closed = 0;
  readonly client = new GatewayClient({
    socket: {
      send: (bytes) => {
        this.sent.push({ atMs: this.clock.now(), message: parseGateway(bytes) });
        return this.sent.length > 1; // the first has no way yet
      },
      receive: () => this.#arrived.shift(),
      [Symbol.dispose]: () => void this.closed++,
    },
    gateway: GATEWAY,
    clock: this.clock,
  });

  says(message: GatewayMessage, from = "10.201.0.1"): void {
    this.#arrived.push({ bytes: encodeGateway(message), from: { address: parseIp(from)!, port: GATEWAY_PORT } });
  }

  [Symbol.dispose](): void {
    this.client[Symbol.dispose]();
  }
}

Deno.test("it asks again, ever more slowly, until it is answered", async () => {
  using rig = new Rig();
  const asking = rig.client.ask({ type: "probe", id: ID }, { signal, withinMs: 5_000 });
  await rig.clock.advanceAsync(750);
  assertEquals(rig.sent.map(({ atMs }) => atMs), [0, 100, 300, 700]);
  assertEquals(rig.sent.map(({ message }) => message), Array(4).fill({ type: "probe", id: ID }));
  rig.says({ type: "probe.answer", id: ID, ok: false });
  await rig.clock.advanceAsync(5);
  assertEquals(await asking, { type: "probe.answer", id: ID, ok: false });
  assertEquals(rig.clock.pendingTimers, 0);
});

Deno.test("what is no answer to it is passed over: another id, another sender, a question, noise", async () => {
  using rig = new Rig();
  const asking = rig.client.ask({ type: "probe", id: ID }, { signal, withinMs: 1_200 });
  rig.says({ type: "probe.answer", id: OTHER_ID, ok: true });
  rig.says({ type: "probe.answer", id: ID, ok: true }, "10.201.0.9");
  rig.says({ type: "probe", id: ID });
  const failing = assertRejects(() => asking, CulvertError, "no answer within 1200 ms");
  await rig.clock.advanceAsync(1_200);
  await failing;
  assertEquals(rig.clock.pendingTimers, 0);
});

Deno.test("it ends with its signal, and with the tunnel", async () => {
  using rig = new Rig();
  const stop = new AbortController();
  const first = rig.client.ask({ type: "probe", id: ID }, { signal: stop.signal, withinMs: 1_200 });
  stop.abort(new Error("enough"));
  await assertRejects(() => first, Error, "enough");
  const second = rig.client.ask({ type: "probe", id: ID }, { signal, withinMs: 1_200 });
  rig.client[Symbol.dispose]();
  await assertRejects(() => second, Error, "the tunnel is closed");
  await assertRejects(() => rig.client.ask({ type: "probe", id: ID }, { signal, withinMs: 1_200 }), Error, "closed");
  assertEquals([rig.closed, rig.clock.pendingTimers], [1, 0]);
});

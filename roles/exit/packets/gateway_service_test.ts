import { assertEquals } from "@std/assert";
import { clockOf } from "../../../protocol/clock.ts";
import { encodeBase64, encodeBase64Url } from "../../../protocol/encoding.ts";
import { formatIp, parseIp } from "../../../protocol/ip.ts";
import { silentLog } from "../../../protocol/log.ts";
import { encodeGateway, parseGateway } from "../../../protocol/packets/gateway.ts";
import type { PunchAnswer, PunchOffer } from "../../../protocol/packets/punch_offer.ts";
import { GatewayService } from "./gateway_service.ts";

const LOCAL = parseIp("127.0.0.1")!;
const CLIENT = { key: new Uint8Array(32), addresses: [LOCAL], relayAt: { address: LOCAL, port: 1 } };
const [ID, OTHER_ID] = ["AAAAAAAAAAAAAAAAAAAAAA", "BBBBBBBBBBBBBBBBBBBBBA"];

Deno.test("a client that probes is told whether the way out works; others and other messages are not answered", async () => {
  let isOk = true;
  await using service = GatewayService.open({
    addresses: [LOCAL],
    port: 0,
    clientAt: (address) => formatIp(address) === "127.0.0.1" ? CLIENT : undefined,
    isOk: () => isOk,
    clock: clockOf(globalThis),
    log: silentLog,
  });
  const [to] = service.listening as [Deno.NetAddr];
  using client = socketAt("127.0.0.1");
  using stranger = socketAt("127.0.0.2");
  await stranger.conn.send(encodeGateway({ type: "probe", id: ID }), to);
  await client.conn.send(encodeGateway({ type: "probe.answer", id: ID, ok: true }), to);
  await client.conn.send(new Uint8Array(1500), to);
  await client.conn.send(encodeGateway({ type: "probe", id: ID }), to);
  assertEquals(parseGateway((await client.conn.receive())[0]), { type: "probe.answer", id: ID, ok: true });
  isOk = false;
  await client.conn.send(encodeGateway({ type: "probe", id: OTHER_ID }), to);
  assertEquals(parseGateway((await client.conn.receive())[0]), { type: "probe.answer", id: OTHER_ID, ok: false });
});

Deno.test("an offer is handed on with who makes it; without anybody to answer it, it is not", async () => {
  const answer: PunchAnswer = { type: "punch.answer", id: ID, retryAfterMs: 7 };
  const heard: unknown[] = [];
  const punching = {
    answer(...offered: unknown[]) {
      heard.push(offered);
      return Promise.resolve(answer);
    },
  };
  const common = {
    addresses: [LOCAL],
    port: 0,
    clientAt: () => CLIENT,
    isOk: () => true,
    clock: clockOf(globalThis),
    log: silentLog,
  };
  const offer: PunchOffer = { type: "punch.offer", id: ID, secret: encodeBase64(new Uint8Array(32)), at: [] };
  using client = socketAt("127.0.0.1");
  await using deaf = GatewayService.open(common);
  await client.conn.send(encodeGateway(offer), deaf.listening[0]!);
  await client.conn.send(encodeGateway({ type: "probe", id: ID }), deaf.listening[0]!);
  assertEquals(parseGateway((await client.conn.receive())[0])?.type, "probe.answer");
  await using service = GatewayService.open({ ...common, punching });
  await client.conn.send(encodeGateway(offer), service.listening[0]!);
  assertEquals(parseGateway((await client.conn.receive())[0]), answer);
  assertEquals(heard, [[offer, CLIENT]]);
});

Deno.test("a client whose offers wait for their answer does not keep others from being answered", async () => {
  const { promise, resolve } = Promise.withResolvers<PunchAnswer>();
  let offers = 0;
  await using service = GatewayService.open({
    addresses: [LOCAL],
    port: 0,
    clientAt: () => CLIENT,
    isOk: () => true,
    punching: { answer: () => (offers++, promise) },
    clock: clockOf(globalThis),
    log: silentLog,
  });
  const [to] = service.listening as [Deno.NetAddr];
  using greedy = socketAt("127.0.0.1");
  using other = socketAt("127.0.0.2");
  const offer = (id: string): PunchOffer => ({
    type: "punch.offer",
    id,
    secret: encodeBase64(new Uint8Array(32)),
    at: [],
  });
  for (let each = 0; each < 50; each++) await greedy.conn.send(encodeGateway(offer(ID)), to);
  await other.conn.send(encodeGateway({ type: "probe", id: ID }), to);
  assertEquals(parseGateway((await other.conn.receive())[0])?.type, "probe.answer");
  assertEquals(offers, 1, "one that is repeated waits once");
  for (let round = 0; round < 30; round++) {
    for (let each = 0; each < 50; each++) {
      const id = encodeBase64Url(Uint8Array.of(each, ...new Uint8Array(15)));
      await greedy.conn.send(encodeGateway(offer(id)), to);
    }
    await other.conn.send(encodeGateway({ type: "probe", id: ID }), to);
    assertEquals(parseGateway((await other.conn.receive())[0])?.type, "probe.answer");
  }
  assertEquals(offers, 8);
  resolve({ type: "punch.answer", id: ID });
});

function socketAt(hostname: string): { conn: Deno.DatagramConn } & Disposable {
  const conn = Deno.listenDatagram({ transport: "udp", hostname, port: 0 });
  return { conn, [Symbol.dispose]: () => conn.close() };
}

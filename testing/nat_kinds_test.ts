import { assert, assertEquals } from "@std/assert";
import { inNamespace } from "../native/fixtures/in_namespace.ts";
import { openLibc } from "../native/libc.ts";
import { UdpEndpoint } from "../native/udp_endpoint.ts";
import { UDP_RECEIVE_BYTES, UdpSocket } from "../native/udp_socket.ts";
import { parseIp } from "../protocol/ip.ts";
import { Slab } from "../protocol/slab.ts";
import { becomeNat, canPunch, NAT_KINDS, type NatKind } from "./nat_kinds.ts";
import { NetLab } from "./netns.ts";
import { testWith } from "./requirements.ts";
import { eventually } from "./waiting.ts";

const needs = { netns: true, tools: ["ip", "nft", "sysctl"] };
const [A, B, C] = ["198.51.100.1", "198.51.100.2", "198.51.100.3"];

/** A socket whose datagrams are single bytes. */
class Port implements Disposable {
  readonly #slab = new Slab(UDP_RECEIVE_BYTES);
  readonly heard: { port: number; byte: number }[] = [];

  constructor(readonly socket: UdpSocket) {}

  /** `from`: the address to send from, where there are several. */
  send(byte: number, to: string, port: number, from?: string): void {
    const endpoint = UdpEndpoint.from({ address: parseIp(to)!, port });
    if (from) new Uint8Array(endpoint.words.buffer).set(parseIp(from)!, 8);
    this.#slab.bytes[0] = byte;
    this.socket.sender.queue(this.#slab, 0, 1, 1, endpoint, 0);
    assert(this.socket.sender.flush());
  }

  /** What has come so far. */
  bytes(): number[] {
    this.#read();
    return this.heard.map(({ byte }) => byte);
  }

  #read(): void {
    while (this.socket.receive(this.#slab, 0) > 0) {
      this.heard.push({ port: this.socket.source().port, byte: this.#slab.bytes[0]! });
    }
  }

  [Symbol.dispose](): void {
    this.socket[Symbol.dispose]();
  }
}

interface Row {
  readonly kind: NatKind;
  readonly isSamePortForAll: boolean;
  /** What comes in: 1 from where it has sent to, 2 from another port there, 3 from another address. */
  readonly in: readonly number[];
}

const rows: readonly Row[] = [
  { kind: "full-cone", isSamePortForAll: true, in: [1, 2, 3] },
  { kind: "restricted", isSamePortForAll: true, in: [1, 2] },
  { kind: "port-restricted", isSamePortForAll: true, in: [1] },
  { kind: "symmetric", isSamePortForAll: false, in: [1] },
];

for (const row of rows) {
  testWith(needs, `a router becomes a ${row.kind} NAT`, async () => {
    await using lab = await NetLab.open();
    const [inner, router, outer] = [await lab.namespace("in"), await lab.namespace("nat"), await lab.namespace("out")];
    await lab.connect(inner, "192.168.7.2/24", router, "192.168.7.1/24");
    const [wan] = await lab.connect(router, "198.51.100.99/24", outer, `${A}/24`);
    for (const address of [B, C]) await outer.run(["ip", "address", "add", `${address}/24`, "dev", "eth0"]);
    await inner.run(["ip", "route", "add", "default", "via", "192.168.7.1"]);
    await becomeNat(router, { kind: "full-cone", wan });
    await becomeNat(router, { kind: row.kind, wan });

    using libc = openLibc();
    const open = (where: typeof inner, port: number) =>
      new Port(inNamespace(where, () => new UdpSocket(libc, { isV6: false, port })));
    using inside = open(inner, 5000);
    using one = open(outer, 6001);
    using other = open(outer, 6002);

    // Nobody gets in before something has gone out.
    one.send(9, "198.51.100.99", 5000, A);
    inside.send(0, A, 6001);
    inside.send(0, B, 6001);
    await eventually("both seen", () => one.bytes().length === 2);
    const [toA, toB] = [one.heard[0]!, one.heard[1]!];
    assertEquals(toA.port === toB.port, row.isSamePortForAll);

    const to = "198.51.100.99";
    other.send(2, to, toA.port, A);
    one.send(3, to, toA.port, C);
    one.send(1, to, toA.port, A);
    await eventually("the last byte", () => inside.bytes().includes(1));
    assertEquals(inside.bytes().toSorted(), row.in);
  });
}

Deno.test("two hosts reach each other unless one is seen elsewhere by each and the other lets in by port", () => {
  const unreachable = NAT_KINDS.flatMap((one) =>
    NAT_KINDS.filter((other) => !canPunch(one, other)).map((other) => `${one} ${other}`)
  );
  assertEquals(unreachable, ["port-restricted symmetric", "symmetric port-restricted", "symmetric symmetric"]);
});

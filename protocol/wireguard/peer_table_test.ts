import { assertEquals, assertThrows } from "@std/assert";
import { CulvertError } from "../errors.ts";
import { formatCidr, parseCidr, parseIp } from "../ip.ts";
import { MAX_PEERS } from "./constants.ts";
import { MachineNetwork } from "./fixtures/machine_network.ts";

Deno.test("changes say only what changes", async (t) => {
  const key = (byte: number) => new Uint8Array(32).fill(byte);
  const route = (text: string, remove = false) => ({ cidr: parseCidr(text)!, remove });
  using network = new MachineNetwork();
  const { machine } = network.add({ endpoint: "192.0.2.1:1000", inner: "10.0.0.1" });
  const routes = () =>
    machine.status().peers.map(({ publicKey, allowedIps }) => [publicKey[0], allowedIps.map(formatCidr).sort()]);

  await t.step("a prefix moves to whoever gets it last", () => {
    machine.configure({
      peers: [
        { publicKey: key(1), allowedIps: [route("10.1.0.0/16"), route("fd00::/8")], persistentKeepaliveS: 25 },
        { publicKey: key(2), allowedIps: [route("10.1.0.0/16")], presharedKey: key(5) },
      ],
    });
    assertEquals(routes(), [[1, ["fd00::/8"]], [2, ["10.1.0.0/16"]]]);
  });
  await t.step("what is left out stays", () => {
    machine.configure({ peers: [{ publicKey: key(1), allowedIps: [route("10.2.0.0/16")] }, { publicKey: key(2) }] });
    assertEquals(routes(), [[1, ["10.2.0.0/16", "fd00::/8"]], [2, ["10.1.0.0/16"]]]);
    assertEquals(machine.status().peers.map((peer) => peer.persistentKeepaliveS), [25, 0]);
    assertEquals(machine.status().peers[1]!.presharedKey, key(5));
  });
  await t.step("a prefix is removed from its owner only", () => {
    machine.configure({ peers: [{ publicKey: key(2), allowedIps: [route("10.2.0.0/16", true)] }] });
    machine.configure({ peers: [{ publicKey: key(1), allowedIps: [route("fd00::/8", true)] }] });
    assertEquals(routes(), [[1, ["10.2.0.0/16"]], [2, ["10.1.0.0/16"]]]);
  });
  await t.step("all prefixes are replaced", () => {
    machine.configure({ peers: [{ publicKey: key(1), replaceAllowedIps: true, allowedIps: [route("10.3.0.0/16")] }] });
    assertEquals(routes(), [[1, ["10.3.0.0/16"]], [2, ["10.1.0.0/16"]]]);
  });
  await t.step("a peer that is not there is neither updated nor removed", () => {
    machine.configure({
      peers: [{ publicKey: key(3), updateOnly: true, allowedIps: [route("10.3.0.0/16")] }, {
        publicKey: key(4),
        remove: true,
      }],
    });
    assertEquals(routes(), [[1, ["10.3.0.0/16"]], [2, ["10.1.0.0/16"]]]);
  });
  await t.step("zeros take a preshared key away", () => {
    machine.configure({ peers: [{ publicKey: key(2), presharedKey: key(0) }] });
    assertEquals(machine.status().peers[1]!.presharedKey, undefined);
  });
  await t.step("a peer is removed, and all are", () => {
    machine.configure({ peers: [{ publicKey: key(1), remove: true }] });
    assertEquals(routes(), [[2, ["10.1.0.0/16"]]]);
    machine.configure({ replacePeers: true, peers: [{ publicKey: key(6) }] });
    assertEquals(routes(), [[6, []]]);
  });
  await t.step("a change that is wrong anywhere changes nothing", () => {
    const before = machine.status();
    for (
      const wrong of [
        { publicKey: new Uint8Array(31) },
        { publicKey: key(9), presharedKey: new Uint8Array(33) },
        { publicKey: key(9), persistentKeepaliveS: 65536 },
        { publicKey: key(9), endpoint: { address: parseIp("192.0.2.1")!, port: 0 } },
        { publicKey: key(9), endpoint: { address: new Uint8Array(5), port: 1 } },
        { publicKey: key(9), allowedIps: [{ cidr: { address: new Uint8Array(4), bits: 33 } }] },
      ]
    ) {
      assertThrows(
        () => machine.configure({ replacePeers: true, peers: [{ publicKey: key(8) }, wrong] }),
        CulvertError,
      );
      assertEquals(machine.status(), before);
    }
  });
});

Deno.test("no more peers than there may be, and one too many changes nothing", () => {
  using network = new MachineNetwork();
  const { machine } = network.add({ endpoint: "192.0.2.1:1000", inner: "10.0.0.1" });
  const peers = Array.from({ length: MAX_PEERS }, (_, at) => {
    return { publicKey: Uint8Array.from({ length: 32 }, (_, byte) => byte < 3 ? at >> 8 * byte : 1) };
  });
  const another = { publicKey: new Uint8Array(32).fill(2) };
  assertThrows(() => machine.configure({ peers: [...peers, another] }), CulvertError, "at most 65536");
  assertEquals(machine.status().peers, []);
  machine.configure({ peers });
  assertThrows(() => machine.configure({ peers: [another] }), CulvertError);
  machine.configure({ peers: peers.slice(0, 10) });
  machine.configure({ replacePeers: true, peers: [another] });
  assertEquals(machine.status().peers.length, 1);
});

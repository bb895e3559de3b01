import { assertEquals } from "@std/assert";
import { isBoundAt, keepsOthersFrom } from "./bound_socket.ts";
import { parseIp } from "./ip.ts";

Deno.test("what waits at an address takes what is sent there, and nothing else", () => {
  const rows = [
    ["its own address", "127.0.0.1", {}, "127.0.0.1", true],
    ["another address", "127.0.0.1", {}, "192.0.2.1", false],
    ["every address of IPv4", "0.0.0.0", {}, "192.0.2.1", true],
    ["every address of IPv4, asked for IPv6", "0.0.0.0", {}, "::1", false],
    ["every address, asked for IPv4", "::", {}, "192.0.2.1", true],
    ["every address of IPv6 alone", "::", { isV6Only: true }, "192.0.2.1", false],
    ["every address of IPv6 alone, asked for IPv6", "::", { isV6Only: true }, "::1", true],
    ["a mapped address", "::ffff:192.0.2.1", {}, "192.0.2.1", true],
    ["one address, where all were asked for", "127.0.0.1", {}, "0.0.0.0", false],
    ["every address of both, where IPv4's were asked for", "::", {}, "0.0.0.0", true],
    ["localhost", "127.0.0.1", {}, "localhost", true],
    ["localhost of IPv6", "::1", {}, "localhost", true],
    ["every address, asked for localhost", "0.0.0.0", {}, "localhost", true],
    ["another address, asked for localhost", "192.0.2.1", {}, "localhost", false],
    ["any other name", "127.0.0.1", {}, "example.com", false],
  ] as const;
  for (const [name, address, more, host, want] of rows) {
    const socket = { kind: "tcp", address: parseIp(address)!, port: 80, uid: 0, inode: 1, ...more } as const;
    assertEquals(isBoundAt(socket, "tcp", { host, port: 80 }), want, name);
    assertEquals(isBoundAt(socket, "tcp", { host, port: 81 }), false, name);
    assertEquals(isBoundAt(socket, "udp", { host, port: 80 }), false, name);
  }
});

Deno.test("what is bound keeps others from its address, and from all addresses together", () => {
  const rows = [
    ["its own address", "127.0.0.1", "127.0.0.1", true],
    ["another address", "127.0.0.1", "192.0.2.1", false],
    ["all addresses, of which it has one", "127.0.0.1", "0.0.0.0", true],
    ["all addresses of both, of which it has one", "127.0.0.1", "::", true],
    ["one address, where it has all", "0.0.0.0", "127.0.0.1", true],
    ["IPv6's, where it has one of IPv4", "127.0.0.1", "::1", false],
    ["localhost, of which it has one", "::1", "localhost", true],
    ["localhost, where it has another", "192.0.2.1", "localhost", false],
  ] as const;
  for (const [name, address, host, want] of rows) {
    const socket = { kind: "udp", address: parseIp(address)!, port: 53, uid: 0, inode: 1 } as const;
    assertEquals(keepsOthersFrom(socket, "udp", { host, port: 53 }), want, name);
    assertEquals(keepsOthersFrom(socket, "udp", { host, port: 54 }), false, name);
    assertEquals(keepsOthersFrom(socket, "tcp", { host, port: 53 }), false, name);
  }
});

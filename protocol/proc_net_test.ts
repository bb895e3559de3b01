import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { assertDecoderSurvives } from "../testing/fuzz.ts";
import { parseIp } from "./ip.ts";
import { readBoundSockets, readConnections } from "./proc_net.ts";

// As Linux 6.18 writes them.
const tcp = [
  "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode                     ",
  "   0: 00000000:07E8 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1472 1 0000000034ec8a51 100",
  "   1: 0100007F:89F3 0100007F:A440 06 00000000:00000000 03:00000C36 00000000     0        0 0 3 000000000534779e",
  "  12: 0100007F:1F90 0100007F:A441 01 00000000:00000000 02:00000C36 00000000  1000        0 4711 2 000000000534779e 20 4",
  "  13: 0100007F:1F90 0100007F:A442 08 00000000:00000000 00:00000000 00000000  1000        0 4712 1 000000000534779e 20 4",
  "  14: 0100007F:1F90 0100007F:A443 01 00000000:00000000 00:00000000 00000000  1000        0 0 1 000000000534779e 20 4",
].join("\n");
const tcp6 =
  "   0: B80D0120000000000000000001000000:01BB 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000    33        0 5000 1 0";
const udp =
  "  511: 0100007F:14E9 00000000:0000 07 00000000:00000000 00:00000000 00000000   104        0 19023 2 00000000 0";

Deno.test("sockets that wait are read from the kernel's text", () => {
  assertEquals(readBoundSockets("tcp", tcp), [
    { kind: "tcp", address: parseIp("0.0.0.0")!, port: 2024, uid: 0, inode: 1472 },
  ]);
  assertEquals(readBoundSockets("tcp", tcp6), [
    { kind: "tcp", address: parseIp("2001:db8::1")!, port: 443, uid: 33, inode: 5000 },
  ]);
  assertEquals(readBoundSockets("udp", udp), [
    { kind: "udp", address: parseIp("127.0.0.1")!, port: 5353, uid: 104, inode: 19023 },
  ]);
});

Deno.test("connections are those of the port that somebody holds", () => {
  assertEquals(readConnections(tcp, new Set([8080])), [{ id: 4711, localPort: 8080 }, { id: 4712, localPort: 8080 }]);
  assertEquals(readConnections(tcp, new Set([80])), []);
});

Deno.test("any text is read without harm", () => {
  const valid = fc.constantFrom(tcp, tcp6, udp).map((text) => new TextEncoder().encode(text));
  assertDecoderSurvives((input) => {
    const text = new TextDecoder().decode(input);
    readBoundSockets("tcp", text);
    readConnections(text, new Set([8080]));
  }, { valid });
});

import { assertEquals } from "@std/assert";
import { MachineNetwork } from "../protocol/wireguard/fixtures/machine_network.ts";
import { openLibcrypto } from "./crypto.ts";

Deno.test("a machine on libcrypto and one in plain JavaScript talk for an hour over a network that reorders", () => {
  using native = openLibcrypto({
    explain: (reason) => {
      throw new Error(`this machine has no libcrypto: ${reason}`);
    },
  })!;
  using network = new MachineNetwork(21);
  network.records = false;
  network.weather = { lossRate: 0, doubleRate: 0.1, minDelayMs: 5, maxDelayMs: 300 };
  const a = network.add({ endpoint: "192.0.2.1:1000", inner: "10.0.0.1", crypto: native });
  const b = network.add({ endpoint: "192.0.2.2:2000", inner: "10.0.0.2" });
  network.connect(a, b, { presharedKey: new Uint8Array(32).fill(5) });
  let sent = 0;
  network.every(1000, network.nowMs + 3_600_000, () => {
    a.talk(b, sent);
    b.talk(a, sent++);
  });
  network.run(3_601_000);
  const numbers = Array.from({ length: sent }, (_, at) => at);
  for (const node of [a, b]) assertEquals(node.heard.sort((one, other) => one - other), numbers);
});

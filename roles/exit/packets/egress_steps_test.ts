import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { type EgressPolicy, policyOf } from "../../../protocol/egress_policy.ts";
import { contains, formatCidr, formatIp, type IpAddress, networkOf, parseIp } from "../../../protocol/ip.ts";
import { CLASS_ROWS, CLASSES, classify } from "../../../protocol/ip_class.ts";
import { closedPorts, type EgressSteps, egressSteps } from "./egress_steps.ts";

/** What the first step that holds the address says. */
function isOpen(steps: EgressSteps, address: IpAddress): boolean {
  const row = address.length === 4 ? steps.v4 : steps.v6;
  return row.find(({ networks }) => networks.some((network) => contains(network, address)))!.isOpen;
}

/** Addresses from every class, from its first to its last, and many with an IPv4 address inside. */
const address: fc.Arbitrary<IpAddress> = fc.record({
  row: fc.constantFrom(...CLASS_ROWS),
  bytes: fc.uint8Array({ minLength: 16, maxLength: 16 }),
  inner: fc.option(fc.constantFrom("10.1.2.3", "127.0.0.1", "8.8.8.8", "192.168.7.7"), { nil: undefined }),
  innerAt: fc.constantFrom(2, 12),
}).map(({ row: { prefix }, bytes, inner, innerAt }) => {
  const length = prefix.address.length;
  const made = new Uint8Array(bytes.subarray(0, length));
  if (inner !== undefined && length === 16) made.set(parseIp(inner)!, innerAt);
  for (let bit = 0; bit < prefix.bits; bit++) {
    const mask = 0x80 >> (bit & 7), at = bit >> 3;
    made[at] = made[at]! & ~mask | prefix.address[at]! & mask;
  }
  return made;
});

const network = fc.tuple(address, fc.nat(128)).map(([address, bits]) =>
  formatCidr(networkOf(address, Math.min(bits, 8 * address.length))!)
);
const openable = CLASSES.filter((name) => name !== "public" && name !== "teredo");
const policy = fc.record({
  allow_addresses: fc.array(fc.oneof(network, fc.constantFrom(...openable)), { maxLength: 4 }),
  deny_addresses: fc.array(network, { maxLength: 3 }),
}).map((file) => policyOf(file));

function allows(policy: EgressPolicy, address: IpAddress): boolean {
  return policy.checkAddress(address, 443) === undefined;
}

Deno.test("by default packets go where streams go", () => {
  const policy = policyOf();
  const steps = egressSteps(policy);
  fc.assert(fc.property(address, (address) => assertEquals(isOpen(steps, address), allows(policy, address))), {
    numRuns: 2000,
  });
});

Deno.test("no policy lets packets go where it lets no stream go", () => {
  fc.assert(
    fc.property(policy, address, (policy, address) => {
      if (isOpen(egressSteps(policy), address)) assert(allows(policy, address), formatIp(address));
    }),
    { numRuns: 2000 },
  );
});

Deno.test("what a policy opens is open to packets, but for what has no prefix to be told by", () => {
  fc.assert(
    fc.property(policy, address, (policy, address) => {
      if (classify(address) === "teredo") return;
      assertEquals(isOpen(egressSteps(policy), address), allows(policy, address), formatIp(address));
    }),
    { numRuns: 2000 },
  );
});

for (
  const [name, file, open, closed] of [
    ["a private network", { allow_addresses: ["10.1.0.0/16"] }, ["10.1.2.3", "8.8.8.8"], ["10.2.0.1", "192.168.0.1"]],
    ["a class", { allow_addresses: ["private"] }, ["10.1.2.3", "192.168.0.1"], ["100.64.0.1", "169.254.169.254"]],
    ["a denied network", { deny_addresses: ["8.8.8.0/24"] }, ["8.8.4.4"], ["8.8.8.8"]],
    [
      "NAT64, open as far as what is behind it is",
      { allow_addresses: ["nat64"], deny_addresses: ["8.8.8.0/24"] },
      ["64:ff9b::808:404"],
      ["64:ff9b::808:808", "64:ff9b::a00:1", "64:ff9b::7f00:1"],
    ],
    ["Teredo, never", { allow_addresses: ["teredo"] }, ["2606:4700::1"], ["2001:0:1:2:3:4:5:6"]],
    ["an allow-list of hosts", { hosts: ["allow example.com", "deny *"] }, [], ["8.8.8.8", "2606:4700::1"]],
    ["some denied host", { hosts: ["deny example.com"] }, ["8.8.8.8"], ["10.0.0.1"]],
  ] as const
) {
  Deno.test(`packets follow the file: ${name}`, () => {
    const steps = egressSteps(policyOf(file));
    for (const text of open) assert(isOpen(steps, parseIp(text)!), text);
    for (const text of closed) assert(!isOpen(steps, parseIp(text)!), text);
  });
}

Deno.test("steps are as few as can be: by default what is closed, and then what is left", () => {
  const { v4, v6 } = egressSteps(policyOf());
  assertEquals(v4.map(({ isOpen }) => isOpen), [false, true]);
  assertEquals(v6.map(({ isOpen }) => isOpen), [false, true, false]);
});

for (
  const [name, ports, closed] of [
    ["by default", {}, "0 25 135 137-139 445 465 587"],
    ["with nothing denied", { deny: [] }, "0 25"],
    ["with a list of what is open", { allow: [25, 80, "443-444"] }, "0-79 81-442 445-65535"],
  ] as const
) {
  Deno.test(`closed ports ${name}`, () => {
    const ranges = closedPorts(policyOf({ ports }));
    assertEquals(ranges.map(({ from, to }) => from === to ? `${from}` : `${from}-${to}`).join(" "), closed);
  });
}

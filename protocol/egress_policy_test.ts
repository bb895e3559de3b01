import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { EgressPolicy, policyOf, type PolicyProblem, readPolicy } from "./egress_policy.ts";
import { CulvertError } from "./errors.ts";
import { formatIp, parseIp } from "./ip.ts";
import { CLASS_ROWS, CLASSES, classify, embeddedIpv4 } from "./ip_class.ts";

function codeFor(policy: EgressPolicy, address: string, port = 80): string | undefined {
  return policy.checkAddress(parseIp(address)!, port)?.code;
}

Deno.test("by default every class but public is closed, in every range of the table", () => {
  const policy = policyOf();
  for (const row of CLASS_ROWS.filter((row) => row.class !== "public" && row.prefix.bits > 0)) {
    const last = row.prefix.address.map((byte, at) =>
      byte | (0xff >> Math.min(8, Math.max(0, row.prefix.bits - 8 * at)))
    );
    for (const address of [row.prefix.address, last]) {
      assertEquals(policy.checkAddress(address, 443)?.code, "address_closed", `${formatIp(address)} ${row.class}`);
    }
  }
  assertEquals(codeFor(policy, "2606:4700::1"), undefined);
  assertEquals(codeFor(policy, "1.1.1.1"), undefined);
});

Deno.test("by default an IPv6 address that carries an IPv4 one is closed, whatever it carries", () => {
  for (const inside of ["8.8.8.8", "127.0.0.1", "10.0.0.1"]) {
    for (const prefix of ["::ffff:", "::ffff:0:", "::", "64:ff9b::", "64:ff9b:1::"]) {
      assertEquals(codeFor(policyOf(), `${prefix}${inside}`), "address_closed", `${prefix}${inside}`);
    }
  }
  for (const address of ["2002:808:808::1", "2002:7f00:1::1", "2001:0:808:808::f7f7:f7f7"]) {
    assertEquals(codeFor(policyOf(), address), "address_closed", address);
  }
});

Deno.test("a class opened by name opens no other, and not what an address carries", () => {
  for (const name of CLASSES.filter((name) => name !== "public")) {
    const policy = policyOf({ allow_addresses: [name] });
    for (const { prefix: { address } } of CLASS_ROWS.filter((row) => row.prefix.bits > 3)) {
      const isOpen = classify(address) === name && embeddedIpv4(address) === undefined; // none carries a public one
      assertEquals(codeFor(policy, formatIp(address)), isOpen ? undefined : "address_closed", formatIp(address));
    }
  }
  const nat64 = policyOf({ allow_addresses: ["nat64", "v4-mapped", "::/96"] });
  assertEquals(codeFor(nat64, "64:ff9b::8.8.8.8"), undefined);
  assertEquals(codeFor(nat64, "64:ff9b::127.0.0.1"), "address_closed");
  assertEquals(codeFor(nat64, "::ffff:169.254.169.254"), "address_closed");
  assertEquals(codeFor(nat64, "::10.0.0.1"), "address_closed");
  assertEquals(codeFor(policyOf({ allow_addresses: ["nat64", "private"] }), "64:ff9b::10.0.0.1"), undefined);
});

Deno.test("a network opened by name opens exactly itself; a denied network wins over everything", () => {
  const policy = policyOf({
    allow_addresses: ["127.0.0.1/32", "192.168.0.0/16", "fd00::/8", "nat64"],
    deny_addresses: ["192.168.7.0/24", "1.1.1.0/24"],
  });
  const table: [address: string, code: string | undefined][] = [
    ["127.0.0.1", undefined],
    ["127.0.0.2", "address_closed"],
    ["::1", "address_closed"],
    ["::ffff:127.0.0.1", "address_closed"],
    ["192.168.6.1", undefined],
    ["192.168.7.1", "address_denied"],
    ["10.0.0.1", "address_closed"],
    ["fd12::1", undefined],
    ["fc12::1", "address_closed"],
    ["1.1.1.1", "address_denied"],
    ["1.1.2.1", undefined],
    ["64:ff9b::1.1.1.1", "address_denied"],
  ];
  for (const [address, code] of table) assertEquals(codeFor(policy, address), code, address);
});

Deno.test("a refusal names the class and not the address", () => {
  assertEquals(policyOf().checkAddress(parseIp("10.1.2.3")!, 80)?.message, "private addresses are closed");
});

Deno.test("this machine's own addresses are closed unless opened by name or by network", () => {
  const own = { has: () => true };
  const mine = parseIp("1.2.3.4")!;
  assertEquals(policyOf().checkAddress(mine, 80, own)?.message, "the egress's own addresses are closed");
  assertEquals(policyOf({ allow_addresses: ["own"] }).checkAddress(mine, 80, own), undefined);
  assertEquals(policyOf({ allow_addresses: ["1.2.3.4"] }).checkAddress(mine, 80, own), undefined);
  const loopback = policyOf({ allow_addresses: ["own"] }).checkAddress(parseIp("127.0.0.1")!, 80, own);
  assertEquals(loopback?.message, "loopback addresses are closed");
});

Deno.test("port 25 is closed for ever, whatever the file says", () => {
  for (const ports of [{}, { allow: [25] }, { allow: ["1-65535"], deny: [] }, { allow: ["20-30"] }]) {
    const policy = policyOf({ ports, hosts: ["allow *"], allow_addresses: ["private"] });
    assertEquals(policy.checkName("mail.example", 25)?.code, "port_closed");
    assertEquals(codeFor(policy, "1.1.1.1", 25), "port_closed");
    assertEquals(codeFor(policy, "10.0.0.1", 25), "port_closed");
  }
});

Deno.test("ports are open or closed by range, and naming those allowed replaces the default", () => {
  const isOpen = (ports: Parameters<typeof policyOf>[0], port: number) =>
    policyOf(ports).checkName("example.com", port) === undefined;
  for (const port of [1, 22, 80, 443, 8080, 65535]) assert(isOpen({}, port), `${port}`);
  for (const port of [0, -1, 65536, 1.5, NaN, 135, 137, 139, 445, 465, 587]) assert(!isOpen({}, port), `${port}`);
  assert(isOpen({ ports: { deny: [] } }, 587));
  assert(isOpen({ ports: { allow: [587] } }, 587));
  assert(!isOpen({ ports: { allow: [587] } }, 80));
  assert(isOpen({ ports: { allow: ["8000-8010"], deny: [8005] } }, 8010));
  assert(!isOpen({ ports: { allow: ["8000-8010"], deny: [8005] } }, 8005));
});

Deno.test("the first host rule that matches decides", () => {
  const policy = policyOf({
    hosts: ["allow good.example.com", "deny *.example.com", "deny Evil.test.", "deny 0x01010101", "allow 9.9.9.9"],
  });
  const closed = policyOf({ hosts: ["allow *.example.com", "deny *"] });
  const table: [EgressPolicy, host: string, allowed: boolean][] = [
    [policy, "good.example.com", true],
    [policy, "bad.example.com", false],
    [policy, "a.b.example.com", false],
    [policy, "example.com", true],
    [policy, "badexample.com", true],
    [policy, "evil.test", false],
    [policy, "1.1.1.1", false],
    [policy, "other.test", true],
    [closed, "www.example.com", true],
    [closed, "example.com", false],
    [closed, "1.1.1.1", false],
  ];
  for (const [policy, host, allowed] of table) {
    assertEquals(policy.checkName(host, 443)?.code, allowed ? undefined : "host_denied", host);
  }
});

Deno.test("a host rule opens no address", () => {
  const policy = policyOf({ hosts: ["allow 127.0.0.1", "allow localhost"] });
  assertEquals(codeFor(policy, "127.0.0.1"), "address_closed");
});

Deno.test("each mistake in a file is named with its key, its rule and what was given", () => {
  const table: [file: unknown, message: string][] = [
    [{ allow_addresses: ["public"] }, 'allow_addresses[0] must be a class such as "private" or a network'],
    [{ allow_addresses: ["10.0.0.1/8"] }, 'got "10.0.0.1/8"'],
    [{ allow_addresses: "private" }, 'allow_addresses must be a list, got "private"'],
    [{ deny_addresses: ["private"] }, "deny_addresses[0] must be a network"],
    [{ ports: { allow: [0] } }, "ports.allow[0] must be a port from 1 to 65535"],
    [{ ports: { deny: ["9-1"] } }, 'got "9-1"'],
    [{ ports: 80 }, "ports must be a table, got 80"],
    [{ hosts: ["example.com"] }, 'hosts[0] must be "allow" or "deny" and a host'],
    [{ hosts: ["deny *.1.1.1.1"] }, "hosts[0] must be"],
    [{ hosts: ["deny a*.example"] }, "hosts[0] must be"],
    [{ limits: { max_connections: 0 } }, "limits.max_connections must be a whole number of at least 1, got 0"],
    [{ close_on_reload: "yes" }, 'close_on_reload must be true or false, got "yes"'],
    [[], "the file must be a table"],
    [{ port: {} }, "port is not a known key"],
    [{ limits: { max: 1 } }, "limits.max is not a known key"],
  ];
  for (const [file, message] of table) {
    const problems = readPolicy(file);
    assert(!(problems instanceof EgressPolicy), message);
    assert(problems.some((problem) => problem.message.includes(message)), `${message}: ${JSON.stringify(problems)}`);
  }
  const [unknown] = readPolicy({ limits: { max_conections: 1 } }) as readonly PolicyProblem[];
  assert(unknown!.knownKeys!.includes("max_connections"));
  assertThrows(() => policyOf({ hosts: ["x"] }), CulvertError, "Cannot make a policy: hosts[0] must be");
});

Deno.test("any value at all is a policy or a list of problems", () => {
  const key = fc.constantFrom("allow_addresses", "deny_addresses", "ports", "hosts", "limits", "close_on_reload", "x");
  const value = fc.oneof(fc.jsonValue(), fc.array(fc.oneof(fc.string(), fc.integer())));
  fc.assert(fc.property(fc.oneof(fc.jsonValue(), fc.dictionary(key, value as fc.Arbitrary<unknown>)), (file) => {
    const result = readPolicy(file);
    assert(result instanceof EgressPolicy || result.length > 0);
  }));
});

Deno.test("whatever a policy opens, port 25 stays closed and a carried address is judged too", () => {
  const bytes = fc.uint8Array({ minLength: 4, maxLength: 4 });
  const openSome = fc.subarray(CLASSES.filter((name) => name !== "public"));
  fc.assert(fc.property(openSome, bytes, (allow_addresses, inside) => {
    const policy = policyOf({ allow_addresses });
    const v4 = new Uint8Array(inside);
    const nat64 = parseIp(`64:ff9b::${formatIp(v4)}`)!;
    assertEquals(policy.checkAddress(nat64, 25)?.code, "port_closed");
    if (policy.checkAddress(v4, 80)) assert(policy.checkAddress(nat64, 80));
  }));
});

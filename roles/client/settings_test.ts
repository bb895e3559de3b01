import { assert, assertEquals } from "@std/assert";
import { formatCidr } from "../../protocol/ip.ts";
import { FakeHost } from "../fixtures/fake_host.ts";
import { main } from "../main.ts";
import { clientConfig, readCidr } from "./settings.ts";

const cidrs: readonly (readonly [text: string, is: string | undefined])[] = [
  ["192.0.2.0/24", "192.0.2.0/24"],
  ["192.0.2.7/24", "192.0.2.0/24"],
  ["192.0.2.7", "192.0.2.7/32"],
  ["2001:db8::1", "2001:db8::1/128"],
  ["2001:db8::1/32", "2001:db8::/32"],
  ["192.0.2.0/33", undefined],
  ["192.0.2.0/-1", undefined],
  ["office", undefined],
  ["", undefined],
];

for (const [text, is] of cidrs) {
  Deno.test(`a network as people type it: "${text}"`, () => {
    const found = readCidr(text);
    assertEquals(found && formatCidr(found), is);
  });
}

Deno.test("the interfaces' names leave room for a number", () => {
  assert(clientConfig.safeParse({ interface: "a23456789012" }).success);
  for (const name of ["a23456789012345", "1st", "a/b", ""]) {
    assert(!clientConfig.safeParse({ interface: name }).success, name);
  }
});

const mistakes: readonly { readonly args: readonly string[]; readonly says: RegExp }[] = [
  { args: [], says: /--supernode must be given/ },
  { args: ["sideways"], says: /action> must be one of up, status, rotate, down|"sideways"/ },
  { args: ["up", "--tun", "--exclude", "home"], says: /--exclude must be an address or a network/ },
  { args: ["up", "--tun", "--interface", "x/y"], says: /--interface must be at most 14 letters/ },
];

for (const { args, says } of mistakes) {
  Deno.test(`client ${args.join(" ")} exits with 2 and says what is wrong`, async () => {
    const host = new FakeHost();
    assertEquals(await main(["client", ...args], host), 2);
    assert(says.test(host.complaints + host.logged), host.complaints + host.logged);
  });
}

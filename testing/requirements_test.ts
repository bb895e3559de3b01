import { assertEquals, assertThrows } from "@std/assert";
import { findTool, type Machine, type Needs, requires, withNeeds } from "./requirements.ts";

const bare: Machine = {
  isCi: false,
  isRoot: false,
  findTool: () => undefined,
  hasFile: () => false,
  canMakeNamespaces: () => false,
};
const full: Machine = {
  isCi: false,
  isRoot: true,
  findTool: (name) => `/usr/bin/${name}`,
  hasFile: () => true,
  canMakeNamespaces: () => true,
};

const rows: readonly { name: string; needs: Needs; machine: Machine; reason: string | undefined }[] = [
  { name: "nothing", needs: {}, machine: bare, reason: undefined },
  { name: "a tool that is there", needs: { tools: ["curl"] }, machine: full, reason: undefined },
  { name: "tools that are not", needs: { tools: ["curl", "nft"] }, machine: bare, reason: "needs curl, nft" },
  { name: "root", needs: { root: true }, machine: bare, reason: "needs root" },
  { name: "a device", needs: { files: ["/dev/net/tun"] }, machine: bare, reason: "needs /dev/net/tun" },
  { name: "namespaces without root", needs: { netns: true }, machine: bare, reason: "needs root" },
  { name: "namespaces", needs: { netns: true }, machine: full, reason: undefined },
  {
    name: "namespaces where root may not make them",
    needs: { netns: true },
    machine: { ...full, canMakeNamespaces: () => false },
    reason: "needs network namespaces",
  },
];

for (const { name, needs, machine, reason } of rows) {
  Deno.test(`requires: ${name}`, () => {
    assertEquals(requires(needs, machine).reason, reason);
    assertEquals(requires(needs, machine).ignore, reason !== undefined);
    assertEquals(requires(needs, { ...machine, isCi: true }).ignore, false);
  });
}

Deno.test("a test whose needs are met is registered as it is", () => {
  const fn = () => {};
  assertEquals(withNeeds({ ignore: false }, "works", fn), { name: "works", fn });
});

Deno.test("a test whose needs are not met is ignored under a name that says why", () => {
  const test = withNeeds({ ignore: true, reason: "needs curl" }, "works", () => {});
  assertEquals([test.name, test.ignore], ["works (ignored: needs curl)", true]);
});

Deno.test("in CI a test whose needs are not met fails and says so", () => {
  const test = withNeeds({ ignore: false, reason: "needs curl" }, "works", () => {});
  assertThrows(() => test.fn({} as Deno.TestContext), Error, "the test needs curl");
});

Deno.test("tools are found on the PATH", () => {
  assertEquals(findTool("sh")?.endsWith("/sh"), true);
  assertEquals(findTool("no-such-program-here"), undefined);
});

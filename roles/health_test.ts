import { assertEquals, assertStringIncludes } from "@std/assert";
import { fromFileUrl } from "@std/path";
import type { Readiness } from "../edge/health.ts";
import { FakeHost } from "./fixtures/fake_host.ts";
import { role } from "./health.ts";
import { serveHealth } from "./health_server.ts";
import { runRole } from "./role.ts";

const cases: readonly { readonly name: string; readonly ready: Readiness; readonly code: number; said: string }[] = [
  { name: "one that can do its work", ready: { ready: true }, code: 0, said: "ready\n" },
  {
    name: "one that cannot",
    ready: { ready: false, failing: { base: "no answer" } },
    code: 1,
    said: "Cannot do its work: base: no answer",
  },
  { name: "one that is about to stop", ready: { ready: false }, code: 1, said: "it is about to stop" },
];

for (const { name, ready, code, said } of cases) {
  Deno.test(`health of ${name}`, async () => {
    await using server = await serveHealth({
      listen: { host: "127.0.0.1", port: 0 },
      host: new FakeHost(),
      ready: () => ready,
      version: "0.1.0",
    });
    const host = new FakeHost({ CULVERT_METRICS_LISTEN: server.address });
    assertEquals(await runRole(role, [], { host }), code);
    assertStringIncludes(host.out + host.logged, said);
  });
}

Deno.test("health of one that serves on every address is asked on this machine", async () => {
  const listen = { host: "0.0.0.0", port: 0 };
  await using server = await serveHealth({
    listen,
    host: new FakeHost(),
    ready: () => ({ ready: true }),
    version: "1",
  });
  const host = new FakeHost();
  assertEquals(await runRole(role, ["--metrics-listen", server.address], { host }), 0);
});

Deno.test("health where no role runs", async () => {
  const host = new FakeHost();
  assertEquals(await runRole(role, ["--metrics-listen", "127.0.0.1:1"], { host }), 1);
  assertStringIncludes(host.logged, "none with --metrics-listen 127.0.0.1:1 answers");
});

Deno.test("health is asked here, whatever proxy the environment has", async () => {
  await using server = await serveHealth({
    listen: { host: "127.0.0.1", port: 0 },
    host: new FakeHost(),
    ready: () => ({ ready: true }),
    version: "1",
  });
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", fromFileUrl(new URL("main.ts", import.meta.url)), "health"],
    env: { CULVERT_METRICS_LISTEN: server.address, HTTP_PROXY: "http://127.0.0.1:1", http_proxy: "http://127.0.0.1:1" },
  }).output();
  assertEquals(new TextDecoder().decode(stdout), "ready\n");
});

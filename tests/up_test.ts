/**
 * `culvert up` as a newcomer meets it: a process, its ready line, real curl, a signal, and nothing left behind.
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { parseTarget, readFull, writeAll } from "../protocol/stream.ts";
import { Program } from "../testing/program.ts";
import { testWith } from "../testing/requirements.ts";

const MAIN = fromFileUrl(new URL("../roles/main.ts", import.meta.url));
const UP: [string, ...string[]] = [Deno.execPath(), "run", "-A", MAIN, "up", "--listen", "127.0.0.1:0", "--json"];

interface Ready {
  readonly addresses: { readonly listen: string; readonly tunnel: string };
}

async function startUp(...flags: string[]): Promise<{ program: Program; addresses: Ready["addresses"] }> {
  const program = new Program([...UP, ...flags], { quiet: true });
  const { addresses } = await program.readJson() as unknown as Ready;
  return { program, addresses };
}

async function curl(...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command("curl", {
    args: ["-fsS", "--max-time", "10", "--noproxy", "", ...args],
  }).output();
  assert(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

testWith({ tools: ["curl"] }, "up answers hello.culvert through every dialect, and names each hop", async () => {
  const { program, addresses } = await startUp();
  await using _program = program;
  for (const scheme of ["socks5h", "socks4a", "http"]) {
    const page = await curl("-x", `${scheme}://${addresses.listen}`, "http://hello.culvert/");
    for (const part of ["ingress", "tunnel client", "tunnel server", "egress", addresses.tunnel, " ms "]) {
      assertStringIncludes(page, part, scheme);
    }
  }
});

Deno.test("up ends on SIGTERM with 0, and its ports are free again", async () => {
  const { program, addresses } = await startUp();
  assertEquals(await program.stop(), 0);
  for (const address of Object.values(addresses)) {
    const { host, port } = parseTarget(address)!;
    Deno.listen({ hostname: host, port }).close();
  }
});

Deno.test("up cuts a stream that is still open after --drain-timeout, and ends with 0", async () => {
  const { program, addresses } = await startUp("--drain-timeout", "100ms");
  const { host, port } = parseTarget(addresses.listen)!;
  using conn = await Deno.connect({ hostname: host, port });
  await writeAll(conn, new TextEncoder().encode("CONNECT hello.culvert:80 HTTP/1.1\r\n\r\n"));
  await readFull(conn, new Uint8Array("HTTP/1.1 200".length));
  assertEquals(await program.stop(), 0);
});

Deno.test("up says what is wrong when its port is taken, and exits 1", async () => {
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", MAIN, "up", "--listen", `127.0.0.1:${taken.addr.port}`],
    stdout: "null",
  }).output();
  assertEquals(code, 1);
  assertStringIncludes(new TextDecoder().decode(stderr), "another program has this port; choose one with --listen");
});

Deno.test("up's egress keeps to its policy: loopback is closed unless opened, with a truthful reply", async () => {
  using target = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const answered = target.accept().then((conn) => conn.close(), () => {});
  const { program, addresses } = await startUp();
  await using _program = program;
  const { host, port } = parseTarget(addresses.listen)!;
  using conn = await Deno.connect({ hostname: host, port });
  await writeAll(conn, Uint8Array.of(5, 1, 0));
  await readFull(conn, new Uint8Array(2));
  await writeAll(conn, Uint8Array.of(5, 1, 0, 1, 127, 0, 0, 1, target.addr.port >>> 8, target.addr.port));
  const reply = new Uint8Array(2);
  await readFull(conn, reply);
  assertEquals(reply[1], 2, "connection not allowed by ruleset");
  target.close();
  await answered;
});

/**
 * `culvert up` as a newcomer meets it: a process, its ready line, real curl, a signal, and nothing left behind.
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { clockOf, delay } from "../protocol/clock.ts";
import { parseTarget, readFull, writeAll } from "../protocol/stream.ts";
import { Program } from "../testing/program.ts";
import { testWith } from "../testing/requirements.ts";
import { TempDirectory } from "../testing/temp_directory.ts";
import { eventually } from "../testing/waiting.ts";

const MAIN = fromFileUrl(new URL("../roles/main.ts", import.meta.url));
const UP: [string, ...string[]] = [Deno.execPath(), "run", "-A", MAIN, "up", "--listen", "127.0.0.1:0", "--json"];

interface Ready {
  readonly addresses: Readonly<Record<string, string>> & { readonly listen: string };
}

interface Up {
  readonly program: Program;
  readonly addresses: Ready["addresses"];
}

async function startUp(flags: readonly string[] = [], env: Record<string, string> = {}): Promise<Up> {
  const program = new Program([...UP, ...flags], { quiet: true, env });
  const { addresses } = await program.readJson() as unknown as Ready;
  return { program, addresses };
}

/** Which exit the page names. */
function exitOf(page: string): string {
  return /exit {2,}([a-z2-7]{26})/.exec(page)![1]!;
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
    const hops = [...page.matchAll(/^ +\d {2}(\w+) +\S+(?: +(north|south))?/gm)].map((
      [, name, region],
    ) => [name, region]);
    assertEquals(hops, [
      ["ingress", undefined],
      ["client", "north"],
      ["supernode", "north"],
      ["supernode", "south"],
      ["exit", "south"],
      ["egress", undefined],
    ], scheme);
    assertStringIncludes(page, "sealed to the exit, by Noise IK");
  }
});

testWith(
  { tools: ["curl"] },
  "up --kill ends the exit in use: the next request works, by way of the other",
  async () => {
    const { program, addresses } = await startUp(["--kill", "exit-1", "--kill", "exit-2@1h"]);
    await using _program = program;
    const way = ["client", "supernode-north", "supernode-south"];
    const killed = await program.readJson();
    assertEquals(killed, { event: "killed", part: "exit-1", before: [...way, "exit-1"] });
    const { tookMs, failedTries: _, ...recovered } = await program.readJson();
    assertEquals(recovered, { event: "recovered", part: "exit-1", after: [...way, "exit-2"] });
    assert((tookMs as number) > 0);
    const pages = [];
    for (let at = 0; at < 2; at++) {
      pages.push(
        await curl("-x", `socks5h://${addresses.listen}`, "http://hello.culvert/"),
      );
    }
    assertEquals(exitOf(pages[0]!), exitOf(pages[1]!));
  },
);

testWith({ tools: ["curl"] }, "up goes on without its base, and without the supernode of its exits", async () => {
  const { program, addresses } = await startUp(["--kill", "base", "--kill", "supernode-south"]);
  await using _program = program;
  const events = [];
  while (events.length < 4) events.push(await program.readJson());
  const south = events.find(({ event, part }) => event === "recovered" && part === "supernode-south")!;
  assertEquals((south.after as string[]).slice(0, 2), ["client", "supernode-north"]);
  const page = await curl("-x", `http://${addresses.listen}`, "http://hello.culvert/");
  assertEquals(page.match(/supernode/g)!.length, 1);
});

testWith(
  { tools: ["curl"] },
  "up --with sharing: a client with money gets out through nodes, and pays for it",
  async () => {
    const program = new Program([...UP, "--with", "sharing", "--kill", "node-1@1h"], { quiet: true });
    await using _program = program;
    const { sharing } = await program.readJson() as unknown as {
      readonly sharing: { readonly proxy: string; readonly client: Login; readonly owner: Login };
    };
    const { addresses } = await program.readJson() as unknown as Ready;
    assertEquals(addresses["sharing-proxy"], sharing.proxy);
    const { userId, proxySecret, secret } = sharing.client;
    for (const scheme of ["socks5h", "http"]) {
      const page = await curl("-x", `${scheme}://${userId}:${proxySecret}@${sharing.proxy}`, "http://hello.culvert/");
      assertStringIncludes(page, "orchestrator");
      assertStringIncludes(page, "node ");
    }
    const site = `http://${addresses.orchestrator}`;
    const { accessToken } = await ask(`${site}/v1/session`, { body: JSON.stringify({ userId, secret }) });
    const headers = { authorization: `Bearer ${accessToken}` };
    await eventually("what it cost is in the books", async () => {
      const { rows } = await ask(`${site}/v1/statement`, { headers }) as {
        readonly rows: { readonly reason: string }[];
      };
      return rows.some(({ reason }) => reason === "traffic") && rows.some(({ reason }) => reason === "gift");
    });
  },
);

testWith({}, "up --with files: each peer shows what the other shares", async () => {
  await using program = new Program([...UP, "--with", "files"], { quiet: true });
  const { addresses } = await program.readJson() as unknown as Ready;
  const [one, other] = [addresses["peer-1"]!, addresses["peer-2"]!];
  const { peerId } = await ask(`${other}api/self`, {});
  await eventually("they have heard of each other", async () => {
    const { peers } = await ask(`${one}api/peers`, {}) as { readonly peers: readonly { readonly peerId: string }[] };
    return peers.some((peer) => peer.peerId === peerId);
  });
  const noise = async (from: string) => {
    const answer = await fetch(`${from}download/data/noise.bin`);
    assertEquals(answer.status, 200);
    return new Uint8Array(await crypto.subtle.digest("SHA-256", await answer.arrayBuffer()));
  };
  assertEquals(await noise(`${one}peers/${peerId}/`), await noise(other));
});

interface Login {
  readonly userId: string;
  readonly secret: string;
  readonly proxySecret: string;
}

/** Who asks too often waits as long as is said. */
async function ask(url: string, options: { body?: string; headers?: Record<string, string> }) {
  const { body, headers } = options;
  const type = body === undefined ? {} : { "content-type": "application/json" };
  const method = body === undefined ? "GET" : "POST";
  const response = await fetch(url, { method, headers: { ...type, ...headers }, ...body !== undefined && { body } });
  const text = await response.text();
  if (response.status === 429) {
    await delay(clockOf(globalThis), JSON.parse(text).retryAfterMs);
    return await ask(url, options);
  }
  assert(response.ok, `${url} answered ${response.status}: ${text}`);
  return JSON.parse(text);
}

Deno.test("up ends on SIGTERM with 0, its ports are free again, and its directory is gone", async () => {
  using directory = new TempDirectory();
  const temporary = directory.path("tmp");
  Deno.mkdirSync(temporary);
  const { program, addresses } = await startUp([], { TMPDIR: temporary });
  assertEquals([...Deno.readDirSync(temporary)].length, 1);
  assertEquals(await program.stop(), 0);
  assertEquals([...Deno.readDirSync(temporary)], []);
  const { dashboard, ...others } = addresses;
  for (const address of [...Object.values(others), new URL(dashboard!).host]) {
    const { host, port } = parseTarget(address)!;
    Deno.listen({ hostname: host, port }).close();
  }
});

Deno.test("up cuts a stream that is still open after --drain-timeout, and ends with 0", async () => {
  const { program, addresses } = await startUp(["--drain-timeout", "100ms"]);
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

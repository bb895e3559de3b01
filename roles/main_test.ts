import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { z } from "zod";
import deno from "../deno.json" with { type: "json" };
import { FakeHost } from "./fixtures/fake_host.ts";
import { main } from "./main.ts";
import { registry, type RoleEntry } from "./registry.ts";
import { defineRole } from "./role.ts";

function entry(name: string, group: string): RoleEntry {
  const summary = `Does ${name} things, and this sentence goes on until it no longer fits the line.`;
  const role = defineRole({
    name,
    summary,
    config: z.object({ word: z.string().default("none") }),
    examples: [],
    longRunning: false,
    run: ({ word }, context) => Promise.resolve(context.print(`${name} ${word}`)),
  });
  return { name, summary, group, load: () => Promise.resolve(role) };
}

const roles = [entry("proxy", "Network"), entry("tunnel", "Network"), entry("version", "This program")];

async function culvert(...args: string[]) {
  const host = new FakeHost({}, { "c.toml": "[tunnel]\nlinks = 3\n[proxy]\nword = 'filed'" });
  const code = await main(args, host, roles);
  return { code, out: host.out, complaints: host.complaints };
}

Deno.test("culvert alone, --help and help list the roles in their groups, in 80 columns", async () => {
  const { code, out } = await culvert();
  assertEquals(code, 0);
  assertMatch(out, /\nNetwork:\n {2}proxy {4}Does proxy[^]*\n {2}tunnel {3}Does[^]*\nThis program:\n {2}version/);
  for (const line of out.split("\n")) assert(line.length <= 80, line);
  assertEquals((await culvert("--help")).out, out);
  assertEquals((await culvert("-h")).out, out);
  assertEquals((await culvert("help")).out, out);
});

Deno.test("a role gets the flags after its name", async () => {
  assertEquals(await culvert("tunnel", "--word", "x"), { code: 0, out: "tunnel x\n", complaints: "" });
});

Deno.test("a role's config file may hold sections for the other roles", async () => {
  assertEquals(await culvert("proxy", "--config", "c.toml"), { code: 0, out: "proxy filed\n", complaints: "" });
  assertStringIncludes(
    (await culvert("tunnel", "--config", "c.toml")).complaints,
    "Cannot run tunnel: tunnel.links in c.toml is not a setting",
  );
});

Deno.test("help for a role is its own --help", async () => {
  const { code, out } = await culvert("help", "proxy");
  assertEquals(code, 0);
  assertMatch(out, /^Usage: culvert proxy \[flags\]\n/);
  assertEquals((await culvert("proxy", "--help")).out, out);
});

Deno.test("a role that does not exist suggests the nearest and exits with 2", async () => {
  for (const args of [["prxy"], ["help", "prxy"]]) {
    assertEquals(await culvert(...args), {
      code: 2,
      out: "",
      complaints:
        `Cannot run "prxy": there is no such role; did you mean proxy?\nRun "culvert --help" for every role.\n`,
    });
  }
  assertStringIncludes((await culvert("\x1b[2J")).complaints, String.raw`"\u001b[2J"`);
});

Deno.test("--version is the version role", async () => {
  assertEquals((await culvert("--version")).out, "version none\n");
  const host = new FakeHost();
  assertEquals(await main(["version"], host), 0);
  assertEquals(host.out, `culvert ${deno.version} (deno ${Deno.version.deno}, v8 ${Deno.version.v8})\n`);
  const jsonHost = new FakeHost();
  await main(["version", "--json"], jsonHost);
  assertEquals(JSON.parse(jsonHost.out), { culvert: deno.version, deno: Deno.version.deno, v8: Deno.version.v8 });
});

Deno.test("every role of the registry loads, agrees with its entry and has a help that fits", async (t) => {
  for (const { name, summary, load } of registry) {
    await t.step(name, async () => {
      const role = await load();
      assertEquals([role.name, role.summary], [name, summary]);
      const host = new FakeHost();
      assertEquals(await main(["help", name], host), 0);
      for (const line of host.out.split("\n")) assert(line.length <= 80, line);
    });
  }
});

Deno.test("the version and the help load neither Hono nor prom-client", async () => {
  const output = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", new URL("./main.ts", import.meta.url).href],
    stdout: "piped",
    stderr: "null",
  }).output();
  const { roots, modules } = JSON.parse(new TextDecoder().decode(output.stdout)) as ModuleGraph;
  const reached = staticallyReached(roots[0]!, modules);
  assert([...reached].some((specifier) => specifier.includes("zod")), "the graph was not read");
  assertEquals([...reached].filter((specifier) => /hono|prom-client|health_server|deno-std.*toml/.test(specifier)), []);
});

interface ModuleGraph {
  readonly roots: readonly string[];
  readonly modules: readonly {
    readonly specifier: string;
    readonly dependencies?: readonly { readonly isDynamic?: boolean; readonly code?: { readonly specifier: string } }[];
  }[];
}

function staticallyReached(root: string, modules: ModuleGraph["modules"]): Set<string> {
  const reached = new Set<string>();
  const queue = [root];
  while (queue.length > 0) {
    const specifier = queue.pop()!;
    if (reached.has(specifier)) continue;
    reached.add(specifier);
    const module = modules.find((module) => module.specifier === specifier);
    for (const { isDynamic, code } of module?.dependencies ?? []) {
      if (!isDynamic && code) queue.push(code.specifier);
    }
  }
  return reached;
}

const family = [entry("kcp-client", "Network"), entry("kcp-server", "Network"), entry("proxy", "Network")];

async function familiar(...args: string[]) {
  const host = new FakeHost();
  const code = await main(args, host, family);
  return { code, out: host.out, complaints: host.complaints };
}

Deno.test("of a name with a dash the two words may stand apart", async () => {
  assertEquals(await familiar("kcp", "client", "--word", "x"), { code: 0, out: "kcp-client x\n", complaints: "" });
  assertEquals((await familiar("kcp-client", "--word", "x")).out, "kcp-client x\n");
  assertEquals((await familiar("help", "kcp", "client")).out, (await familiar("kcp-client", "--help")).out);
});

Deno.test("the first word alone lists the roles that begin with it", async () => {
  const { code, out } = await familiar("kcp");
  assertEquals(code, 0);
  assertMatch(out, /kcp-client[^]*kcp-server/);
  assertEquals(out.includes("proxy"), false);
  for (const args of [["kcp", "--help"], ["help", "kcp"]]) assertEquals((await familiar(...args)).out, out);
  assertEquals((await familiar("kcp", "servr")).code, 2);
});

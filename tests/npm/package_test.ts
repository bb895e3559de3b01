/**
 * The npm package as those get it who have Node and no Deno: packed, installed into a project of its own, checked by tsc, and
 * run by Node against roles that run here.
 *
 *   node paths.js ─ every path that needs no FFI ─▶ roles of this process ─▶ hello.culvert
 */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { role as central } from "../../roles/central.ts";
import { role as downstream } from "../../roles/downstream.ts";
import { role as gateway } from "../../roles/gateway.ts";
import { role as proxy } from "../../roles/proxy.ts";
import { role as relay } from "../../roles/relay.ts";
import { role as tunnel } from "../../roles/tunnel.ts";
import { role as upstream } from "../../roles/upstream.ts";
import { freePort } from "../../testing/program.ts";
import { requires, testWith, withNeeds } from "../../testing/requirements.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { makeTlsCertificate, type TlsCertificate } from "../../testing/tls_certificate.ts";
import project from "../../deno.json" with { type: "json" };
import { makePackage, NODE_TYPES } from "../../tools/npm/package.ts";
import { Processes } from "../chaos/fixtures/processes.ts";
import { Network } from "../fixtures/control_network.ts";
import { EchoTarget, Ends, freeUdpPort } from "../transports/fixtures/ends.ts";

const root = fromFileUrl(new URL("../..", import.meta.url)).replace(/\/$/, "");
const fixtures = join(root, "tests/npm/fixtures");
/** A dozen paths, some of them beside each other. */
const PATHS_MS = 180_000;
const HELLO = "Hello from the far end of the culvert.";

/**
 * Types of each kind, which nothing but an object is of. A declaration that leads nowhere makes a type that takes anything
 * without a word, and to check the declarations themselves takes a while.
 */
const TYPES: Readonly<Record<string, readonly string[]>> = {
  "@culvert/culvert": ["Path", "NetworkPath", "TunnelPath", "CircuitPath", "FragmentPath", "EgressPolicy", "Socket"],
  "@culvert/culvert/protocol": ["ControlMessage", "RelayRecord", "Certificate"],
  "@culvert/culvert/testing": ["FakeClock", "MemoryNetwork", "LogCollector"],
};

/** A strict user's. */
const TSCONFIG = {
  compilerOptions: {
    target: "ES2022",
    module: "NodeNext",
    lib: ["ESNext"],
    types: ["node"],
    strict: true,
    exactOptionalPropertyTypes: true,
    noEmit: true,
    skipLibCheck: true,
  },
  files: ["types.ts", "wrong.ts"],
};

const needs = { tools: ["node", "npm", "openssl", "tar"] };
let folder: TempDirectory;

/** Once for all tests. */
Deno.test.beforeAll(async () => {
  folder = new TempDirectory();
  if (requires(needs).ignore) return;
  await makePackage({ root, output: folder.path("culvert.tgz") });
  await install();
});

Deno.test.afterAll(() => folder[Symbol.dispose]());

testWith(needs, "the npm package has what it exports, and neither tests nor roles", async () => {
  const names = (await run("tar", "tzf", "culvert.tgz")).split("\n");
  for (const entry of ["mod", "protocol/mod", "testing/mod"]) {
    assert(names.includes(`package/${entry}.js`) && names.includes(`package/${entry}.d.ts`), entry);
  }
  const { engines, dependencies, description } = JSON.parse(
    await run("tar", "xzfO", "culvert.tgz", "package/package.json"),
  );
  assertEquals(engines, { node: ">=20.19" });
  assert(description.length > 0);
  assertEquals(Object.values(dependencies).filter((version) => !/^\d+\.\d+\.\d+$/.test(String(version))), []);
  const readme = await run("tar", "xzfO", "culvert.tgz", "package/README.md");
  assertEquals(readme.match(/\]\(\.\.?\/[^)]*\)/g), null);
  assertEquals(names.filter((name) => /_test|_bench|fixtures|roles|kv\/|edge\//.test(name)), []);
});

testWith(needs, "the npm package's types are right without Deno's", async () => {
  const wrong = Object.entries(TYPES).flatMap(([from, names]) =>
    names.map((name) => `export const wrong${name}: import("${from}").${name} = Symbol();`)
  );
  Deno.writeTextFileSync(folder.path("wrong.ts"), wrong.join("\n"));
  const tsc = ["node_modules/typescript/bin/tsc", "--project", "tsconfig.json", "--pretty", "false"];
  const { stdout } = await new Deno.Command("node", { args: tsc, cwd: folder.path(".") }).output();
  const found = new TextDecoder().decode(stdout).split("\n").filter((line) => line.includes("error TS"));
  assertEquals(found.map((line) => /^\w+\.ts\(\d+/.exec(line)?.[0]), wrong.map((_, at) => `wrong.ts(${at + 1}`));
});

testWith(needs, "the npm package's streams of Node keep the contract", async () => {
  assertMatch(await run("node", "--test", "contract.js"), /# pass [1-9]/);
});

const pathsInNode = "the npm package's paths that need no FFI carry requests in Node";
Deno.test({ ...withNeeds(requires(needs), pathsInNode, carryRequests), timeout: PATHS_MS });

async function carryRequests(): Promise<void> {
  const tls = await makeTlsCertificate(folder, "tunnel");
  await using roles = new Network();
  await using processes = new Processes();
  await using kcp = new Ends(processes);
  await using echo = new EchoTarget();
  const { paths, supernode } = await startFarEnds(roles, kcp, { tls, policy: policyFile() });
  const task = { paths, supernode, caCerts: [tls.cert], echo: echo.datagramsAt };
  const answers = JSON.parse(await run("node", "paths.js", JSON.stringify(task))) as Record<string, string>;
  await runReadme(paths["tunnel"]!);
  const { vtcp, refused, datagrams, ...others } = answers;
  assertStringIncludes(vtcp!, "failed: unsupported");
  assertStringIncludes(refused!, "the server answered 404");
  assertEquals(datagrams, "1 2 3");
  assertEquals(Object.entries(others).filter(([, text]) => !text.includes(HELLO)), []);
}

/** A project of Node's with the package in it. */
async function install(): Promise<void> {
  const { imports } = project;
  const versionOf = (from: string) => from.slice(from.lastIndexOf("@") + 1);
  const write = (name: string, value: object) => Deno.writeTextFileSync(folder.path(name), JSON.stringify(value));
  write("package.json", {
    private: true,
    type: "module",
    dependencies: { "@culvert/culvert": "file:culvert.tgz" },
    devDependencies: {
      typescript: versionOf(imports["typescript"]),
      "@types/node": versionOf(NODE_TYPES),
    },
  });
  write("tsconfig.json", TSCONFIG);
  for (const name of ["paths.js", "contract.js", "types.ts"]) {
    Deno.copyFileSync(join(fixtures, name), folder.path(name));
  }
  await run("npm", "install", "--no-audit", "--no-fund", "--prefer-offline");
}

interface FarEnds {
  readonly paths: Readonly<Record<string, string>>;
  readonly supernode: string;
}

/** What Node's paths lead to, and two that lead nowhere. */
async function startFarEnds(
  roles: Network,
  kcp: Ends,
  { tls, policy }: { readonly tls: TlsCertificate; readonly policy: string },
): Promise<FarEnds> {
  const egress = { egressPolicy: policy };
  const { addresses: { listen: base } } = await roles.startBase();
  const bases = { base: [`http://${base}`] };
  const relayed = () => {
    const place = `127.0.0.1:${freePort()}`;
    return { listen: place, advertise: `http://${place}`, region: "test", ...bases };
  };
  const files = { certFile: tls.certFile, keyFile: tls.keyFile };
  const supernode = await roles.startSupernode("test");
  const udp = freeUdpPort();
  const [plain, sealed, socks, invitation] = await Promise.all([
    roles.start(tunnel, { listen: "127.0.0.1:0", ...egress }),
    roles.start(tunnel, { listen: "127.0.0.1:0", ...egress, ...files, token: "secret" }),
    roles.start(proxy, { listen: "127.0.0.1:0", ...egress }),
    kcp.invite("node", udp).then(async (url) => (await kcp.server(udp), url)),
    roles.startExit(supernode, "test"),
    ...[upstream, downstream, relay, relay].map((role) => roles.start(role, relayed())),
    roles.start(central, { ...relayed(), ...egress }),
  ]);
  await roles.start(gateway, { ...bases, ...egress });
  const address = ({ addresses }: { readonly addresses: Readonly<Record<string, string>> }) => addresses["listen"]!;
  return {
    supernode: supernode.addresses["supernode"]!,
    paths: {
      "tunnel": `tunnel+ws://${address(plain)}/`,
      "tunnel by TLS": `tunnel+wss://secret@${address(sealed)}/`,
      "refused": `tunnel+wss://wrong@${address(sealed)}/`,
      "socks5": `socks5://${address(socks)}`,
      "http": `http://${address(socks)}`,
      "fragments": `fragments+http://${base}/?up=1&down=1&data=1&total=1`,
      "circuit": `circuit+http://${base}/?hops=2`,
      "kcp": invitation,
      "vtcp": `vtcp+udp://${"a".repeat(64)}@127.0.0.1:${udp}/`,
    },
  };
}

/** The package's own first example, as it stands there. */
async function runReadme(url: string): Promise<void> {
  const text = Deno.readTextFileSync(folder.path("node_modules/@culvert/culvert/README.md"));
  Deno.writeTextFileSync(folder.path("readme.js"), /```js\n([\s\S]*?)```/.exec(text)![1]!);
  assertStringIncludes(await run("node", "readme.js", url), HELLO);
}

function policyFile(): string {
  Deno.writeTextFileSync(folder.path("policy.toml"), 'allow_addresses = ["loopback"]\n');
  return folder.path("policy.toml");
}

/** What it prints; fails with what it complains of. */
async function run(program: string, ...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(program, { args, cwd: folder.path(".") }).output();
  const [printed, complaint] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  assert(success, `${program} ${args[0]}: ${complaint}\n${printed}`);
  return printed!;
}

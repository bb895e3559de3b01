import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { parse as parseToml } from "@std/toml";
import { CulvertError } from "../../../protocol/errors.ts";
import { defaultWatchdogSettings } from "../../../protocol/manager/watchdog_settings.ts";
import { readConfig } from "../../config.ts";
import { fieldsOf } from "../../config/schema.ts";
import { importGfkGo } from "../../kcp/import_gfk.ts";
import { importPaqet } from "../../kcp/import_paqet.ts";
import { registry } from "../../registry.ts";
import { roleGroups } from "../../role.ts";
import { readServiceFile } from "../service_files.ts";
import { answerProblems, readAnswers } from "./answers.ts";
import { type Answers, configText } from "./config_text.ts";
import type { KindContext } from "./kind.ts";
import { kindNames, kindOf } from "./kinds.ts";
import { serviceText } from "./service_text.ts";

const context: KindContext = {
  serviceName: "s",
  findRoute: () => Promise.resolve({ interfaceName: "eth0", source: "198.51.100.7", gatewayMac: "aa:bb:cc:dd:ee:ff" }),
};

/** Something that each setting takes which some role cannot do without. */
const samples: Readonly<Record<string, string>> = {
  region: "eu-west",
  supernode: "https://abcdefghijklmnopqrstuvwxya@sn.example:8443/",
  base: "https://base.example",
  orchestrator: "https://share.example/",
  folder: "/srv/share",
  conf: "wg0",
  server: "kcp+udp://K@192.0.2.7:4000/",
  code: "CODE",
  client: "alice",
  yes: "true",
};

Deno.test("every role that runs until stopped can be installed, and so can programs of others", async () => {
  const names = (await kindNames()).map(({ name }) => name);
  for (const name of ["proxy", "kcp-client", "wireguard", "orchestrator", "peer", "paqet", "gfk", "xray"]) {
    assert(names.includes(name), name);
  }
  for (const name of ["keys", "up", "peer-open", "manager", "manager-list"]) assert(!names.includes(name), name);
});

Deno.test("the configuration made of each role is one that it reads", async () => {
  for (const { name } of await kindNames()) {
    const entry = registry.find((role) => role.name === name);
    if (!entry) continue;
    const kind = await kindOf(name);
    const needed = kind.questions({}).filter(({ needed }) => needed).map(({ key }) => `${key}=${samples[key]}`);
    const { answers, problems } = readAnswers([...needed, ...name === "relay" ? ["base=https://b.example"] : []], kind);
    assertEquals([...problems, ...await answerProblems(answers, kind)], [], name);
    const file = await kind.configFile(answers, context);
    const { flags = [] } = kind.words(answers, "/c.toml");
    const role = await entry.load();
    const subject = { role: name, action: "start", roles: [], groups: roleGroups(role) };
    const sources = { env: () => undefined, readTextFile: () => Promise.resolve(file!.text) };
    await readConfig(subject, { ...sources, args: ["--config", "c.toml", ...flags] });
    // What stands behind a # are settings of its own as well, and defaults that TOML can say.
    const uncommented = file!.text.replaceAll(/^#(?=[a-z0-9_.]+ = )/gm, "");
    const keys = fieldsOf(kind.settings).filter(({ positional }) => !positional).map(({ fileKey }) => fileKey);
    assertEquals([...flatKeys(parseToml(uncommented))].toSorted(), keys.toSorted(), name);
  }
});

function* flatKeys(table: Record<string, unknown>, before = ""): Generator<string> {
  for (const [key, value] of Object.entries(table)) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) yield `${before}${key}`;
    else yield* flatKeys(value as Record<string, unknown>, `${before}${key}.`);
  }
}

Deno.test("a service file made of words is one that the manager reads, whatever is in them", async () => {
  const settings: Answers = { description: 'a "quoted" \\ one', role: "proxy", flags: ["--user", 'a:"b\\\x7f'] };
  const text = serviceText({ name: "s", settings, environment: { LANG: 'C"\\' } });
  const { service, problems } = await readServiceFile(text, "/s/s.toml", {
    watchdog: defaultWatchdogSettings,
    ownCommand: ["/culvert"],
  });
  assertEquals(problems, []);
  assertEquals(service?.command, ["/culvert", "proxy", "--user", 'a:"b\\\x7f']);
  assertEquals([service?.description, service?.environment], ['a "quoted" \\ one', { LANG: 'C"\\' }]);
});

const rows: readonly {
  readonly kind: string;
  readonly set: readonly string[];
  readonly listen: readonly string[];
  readonly proxy?: string;
  readonly root?: string;
}[] = [
  { kind: "proxy", set: [], listen: ["127.0.0.1:1080"], proxy: "socks5://127.0.0.1:1080" },
  { kind: "proxy", set: ["listen=:9"], listen: [":9"], proxy: "socks5://127.0.0.1:9" },
  { kind: "proxy", set: ["listen=127.0.0.1:0"], listen: [] },
  {
    kind: "kcp-client",
    set: ["server=kcp+raw://K@h:1/", "listen=127.0.0.1:1", "listen=[::]:2", "user=a:b@c"],
    listen: ["127.0.0.1:1", "[::]:2"],
    proxy: "socks5://a:b%40c@127.0.0.1:1",
    root: "raw packets",
  },
  {
    kind: "proxy",
    set: ["path=vtcp://K@h:1/"],
    listen: ["127.0.0.1:1080"],
    proxy: "socks5://127.0.0.1:1080",
    root: "raw packets",
  },
  {
    kind: "vtcp-client",
    set: ["server=vtcp+udp://K@h:1/"],
    listen: ["127.0.0.1:1080"],
    proxy: "socks5://127.0.0.1:1080",
  },
  { kind: "kcp-server", set: ["ports=24000-24007"], listen: ["udp:0.0.0.0:24000"] },
  { kind: "kcp-server", set: ["carrier=raw"], listen: [], root: "raw packets" },
  { kind: "vtcp-server", set: ["carrier=udp", "address=::"], listen: ["udp:[::]:4001"] },
  { kind: "client", set: ["tun=true", "supernode=x"], listen: [], root: "network interfaces" },
  { kind: "relay-packets", set: [], listen: ["udp:0.0.0.0:7430"] },
  { kind: "tracker", set: [], listen: ["0.0.0.0:3000"] },
  { kind: "orchestrator", set: [], listen: ["127.0.0.1:8490", "127.0.0.1:1090"] },
  { kind: "wireguard", set: ["conf=wg0"], listen: [], root: "network interfaces" },
  { kind: "xray", set: ["listen=0.0.0.0:10"], listen: ["0.0.0.0:10"], proxy: "socks5://127.0.0.1:10" },
  { kind: "paqet", set: ["side=server"], listen: [], root: "raw packets" },
];

for (const { kind: name, set, listen, proxy, root } of rows) {
  Deno.test(`what listens is known of ${[name, ...set].join(" ")}`, async () => {
    const kind = await kindOf(name);
    const { answers, problems } = readAnswers(set, kind);
    assertEquals(problems, []);
    const words = kind.words(answers, undefined);
    assertEquals([words.listen, words.proxy, kind.needsRoot(answers)], [listen, proxy, root]);
  });
}

Deno.test("words of the command line come to flags, in their order", async () => {
  const wireguard = await kindOf("wireguard");
  assertEquals(wireguard.words({ conf: "wg0" }, undefined).flags, ["up", "wg0"]);
  assertEquals((await kindOf("peer")).words({ folder: "/srv" }, undefined).flags, ["/srv"]);
});

Deno.test("what is made for paqet is read as paqet's", async () => {
  const kind = await kindOf("paqet");
  const client = await kind.configFile({ server: "203.0.113.5:9999", key: "hush", listen: "127.0.0.1:1085" }, context);
  const settings = importPaqet(client!.text);
  assertEquals(settings.carrier, {
    look: "paqet",
    server: { host: "203.0.113.5", ports: { first: 9999, count: 1 } },
    interface: "eth0",
    source: "198.51.100.7",
    gatewayMac: "aa:bb:cc:dd:ee:ff",
  });
  assertEquals([settings.key, settings.socks], ["hush", [{ listen: "127.0.0.1:1085" }]]);
  assert(!client!.shown.includes("hush"));
  const server = importPaqet((await kind.configFile({ side: "server", port: "9999", key: "hush" }, context))!.text);
  assertEquals([server.side, server.carrier.server.ports], ["server", { first: 9999, count: 1 }]);
  const findRoute = () => Promise.resolve({ interfaceName: "eth0", source: "198.51.100.7" });
  const unknown = await kind.configFile({ server: "203.0.113.5:9999", key: "hush" }, { ...context, findRoute });
  assertStringIncludes(unknown!.note!, "hardware address was not found");
});

Deno.test("what is made for gfk is read as gfk's", async () => {
  const kind = await kindOf("gfk");
  const client = importGfkGo((await kind.configFile({ server: "203.0.113.5:45000", key: "k" }, context))!.text);
  assertEquals(client.carrier.server, { host: "203.0.113.5", ports: { first: 45_000, count: 8 } });
  assertEquals(client.socks, [{ listen: "127.0.0.1:1080" }]);
  const server = importGfkGo((await kind.configFile({ side: "server", port: "45000", key: "k" }, context))!.text);
  assertEquals([server.side, server.backend], ["server", { host: "127.0.0.1", isOpen: true }]);
});

Deno.test("a program's own configuration is used as it is", async () => {
  const kind = await kindOf("paqet");
  const answers = { config: "/etc/paqet.yaml", program: "/opt/paqet" };
  assertEquals(await kind.configFile(answers, context), undefined);
  assertEquals(kind.words(answers, "/etc/paqet.yaml").command, ["/opt/paqet", "run", "-c", "/etc/paqet.yaml"]);
  await assertRejects(() => kind.configFile({}, context), CulvertError, "key must be given");
});

Deno.test("Xray's configuration is JSON that names its port, and the address that was asked for", async () => {
  for (
    const [listen, host] of [["127.0.0.1:10809", "127.0.0.1"], ["0.0.0.0:10809", "0.0.0.0"], [":10809", "0.0.0.0"]]
  ) {
    const file = await (await kindOf("xray")).configFile({ listen: listen! }, context);
    const [inbound] = JSON.parse(file!.text).inbounds;
    assertEquals([inbound.listen, inbound.port], [host, 10_809]);
  }
});

Deno.test("secrets are not shown", () => {
  return kindOf("tunnel").then((kind) => {
    const options = { head: ["x"], hidesSecrets: true };
    const text = configText(kind.settings, { token: "hush", listen: "127.0.0.1:1" }, options);
    assert(!text.includes("hush"));
    assertStringIncludes(text, 'listen = "127.0.0.1:1"');
  });
});

Deno.test("what is wrong with settings is told by their names", async () => {
  const kind = await kindOf("kcp-client");
  const read = readAnswers(["lisen=a", "hush", "max-connections=many", "server=kcp+udp://K@h:1/"], kind);
  assertEquals(read.problems, [
    "--set lisen must be a setting of kcp-client; did you mean listen?",
    "--set must be key=value",
  ]);
  assertEquals(await answerProblems(read.answers, kind), ['--set max-connections must be a number, got "many"']);
  const [missing] = await answerProblems({}, kind);
  assertStringIncludes(missing!, "--set server=… must be given: The URL of a server");
  const wireguard = await answerProblems({ action: "fly", conf: "wg0" }, await kindOf("wireguard"));
  assertStringIncludes(wireguard.join(), "--set action must be one of up, down");
  const relay = await answerProblems({}, await kindOf("relay"));
  assertStringIncludes(relay.join(), "--set base must be given at least once, or --tracker instead");
  await assertRejects(() => kindOf("kcp-cleint"), CulvertError, "did you mean kcp-client?");
  assertEquals((await kindOf("kcp client")).name, "kcp-client");
});

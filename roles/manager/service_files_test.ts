import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { CulvertError } from "../../protocol/errors.ts";
import { defaultWatchdogSettings } from "../../protocol/manager/watchdog_settings.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { loadServiceFiles, readServiceFile, type ServiceDefaults } from "./service_files.ts";

const defaults: ServiceDefaults = {
  watchdog: defaultWatchdogSettings,
  ownCommand: ["/usr/bin/culvert"],
  roles: [{ name: "kcp-client", summary: "A local proxy." }, { name: "manager-list", summary: "Services." }],
  readWatchdog: (table, { section }, base) => ({
    settings: { ...base, maxRestarts: Number(table.max_restarts) },
    problems: table.max_restarts === 0 ? [`${section}max_restarts must be at least 1, got 0`] : [],
  }),
};

Deno.test("a role needs no more than its name", async () => {
  const { service, problems } = await readServiceFile(
    'role = "kcp-client"',
    "/etc/culvert/services/out.toml",
    defaults,
  );
  assertEquals(problems, []);
  assertEquals(service, {
    name: "out",
    description: "A local proxy.",
    role: "kcp-client",
    command: ["/usr/bin/culvert", "kcp-client"],
    environment: {},
    enabled: true,
    listen: [],
    notifies: true,
    connects: true,
    limits: { overMs: 60_000 },
    log: { maxBytes: 10 * 1024 * 1024 },
    watchdog: defaultWatchdogSettings,
  });
});

Deno.test("all that a file says is in the service", async () => {
  const text = `
    description = "Way out"
    role = "kcp-client"
    config = "../out.toml"
    flags = ["--log-level", "debug"]
    user = "culvert-out"
    directory = "/var/lib/culvert/out"
    enabled = false
    listen = [":1080", "udp:[::1]:53", "localhost:81"]
    ready = "listen"
    connects = false
    capabilities = ["CAP_NET_RAW"]
    writable = ["/srv"]
    [probe]
    through = "socks5://127.0.0.1:1080"
    url = "http://example.com/"
    status = 204
    timeout = "3s"
    [limits]
    memory = "512MiB"
    open_files = 4096
    cpu_percent = 150
    over = "30s"
    [log]
    max = "1MiB"
    [environment]
    LANG = "C"
    [watchdog]
    max_restarts = 9
  `;
  const { service, problems } = await readServiceFile(text, "/etc/culvert/services/out.toml", defaults);
  assertEquals(problems, []);
  assertEquals(service, {
    name: "out",
    description: "Way out",
    role: "kcp-client",
    command: ["/usr/bin/culvert", "kcp-client", "--config", "/etc/culvert/out.toml", "--log-level", "debug"],
    user: "culvert-out",
    directory: "/var/lib/culvert/out",
    environment: { LANG: "C" },
    enabled: false,
    listen: [{ kind: "tcp", at: { host: "0.0.0.0", port: 1080 } }, { kind: "udp", at: { host: "::1", port: 53 } }, {
      kind: "tcp",
      at: { host: "localhost", port: 81 },
    }],
    notifies: false,
    connects: false,
    probe: { through: "socks5://127.0.0.1:1080", url: "http://example.com/", status: 204, timeoutMs: 3000 },
    limits: { memoryBytes: 512 * 1024 * 1024, openFiles: 4096, cpuPercent: 150, overMs: 30_000 },
    capabilities: ["CAP_NET_RAW"],
    writable: ["/srv"],
    log: { maxBytes: 1024 * 1024 },
    watchdog: { ...defaultWatchdogSettings, maxRestarts: 9 },
  });
});

Deno.test("another program says nothing of itself: it is there when it listens", async () => {
  const text = 'command = ["/usr/local/bin/paqet", "run", "-c", "/etc/paqet.yaml"]\nlisten = ["127.0.0.1:1080"]';
  const { service } = await readServiceFile(text, "/s/paqet.toml", defaults);
  assertEquals(service?.command, ["/usr/local/bin/paqet", "run", "-c", "/etc/paqet.yaml"]);
  assertEquals(service?.notifies, false);
  assertEquals(service?.description, "paqet");
});

const role = 'role = "kcp-client"\n';
const rows: readonly { name: string; file?: string; text: string; says: string }[] = [
  { name: "neither role nor command", text: "", says: "/s/a.toml must have either role or command, got neither" },
  { name: "both", text: role + 'command = ["/bin/true"]', says: "must have either role or command, got both" },
  { name: "no such role", text: 'role = "kcp-cleint"', says: 'got "kcp-cleint"; did you mean kcp-client?' },
  { name: "the manager itself", text: 'role = "manager-list"', says: "must be another than the manager's own" },
  { name: "a program without its path", text: 'command = ["paqet"]', says: "must begin with a program's whole path" },
  { name: "no command at all", text: "command = []", says: "command in /s/a.toml must be at least 1 value" },
  {
    name: "flags of no role",
    text: 'command = ["/bin/a"]\nflags = ["-x"]',
    says: "flags in /s/a.toml must stand beside",
  },
  { name: "a port too high", text: role + 'listen = ["[::1]:70000"]', says: 'udp:address:port, got "[::1]:70000"' },
  { name: "a port of a name", text: role + 'listen = ["a:70"]', says: "must be an address or localhost with a port" },
  {
    name: "a key misspelt",
    text: role + "enabeld = true",
    says: "enabeld in /s/a.toml is not a setting; did you mean enabled?",
  },
  {
    name: "a size that is none",
    text: role + '[limits]\nmemory = "much"',
    says: "limits.memory in /s/a.toml must be a size",
  },
  {
    name: "a probe of nothing",
    text: role + '[probe]\nthrough = "socks5://a:1"',
    says: "probe.url in /s/a.toml must be given",
  },
  {
    name: "a probe of no scheme",
    text: role + '[probe]\nurl = "ftp://a/"',
    says: "probe.url in /s/a.toml must be a URL that",
  },
  {
    name: "a variable's name",
    text: role + '[environment]\n"a b" = "c"',
    says: "environment.a b in /s/a.toml must be the name",
  },
  {
    name: "a variable that is no text",
    text: role + "[environment]\nA = 1",
    says: "environment.A in /s/a.toml must be text",
  },
  { name: "a user", text: role + 'user = "root; rm"', says: "user in /s/a.toml must be a user's name" },
  {
    name: "the watchdog's own",
    text: role + "[watchdog]\nmax_restarts = 0",
    says: "watchdog.max_restarts must be at least",
  },
  { name: "no TOML", text: "= 1", says: "/s/a.toml must be TOML; line 1 cannot be read" },
  {
    name: "the manager's own name",
    file: "/s/manager.toml",
    text: role,
    says: "/s/manager.toml must have another name",
  },
  { name: "a name that is none", file: "/s/A b.toml", text: role, says: "/s/A b.toml must have the name of a service" },
];

for (const { name, file = "/s/a.toml", text, says } of rows) {
  Deno.test(`a service file is refused in words: ${name}`, async () => {
    const { service, problems } = await readServiceFile(text, file, defaults);
    assertEquals(service, undefined);
    assertStringIncludes(problems.join("\n"), says);
  });
}

Deno.test("a secret in a variable is not repeated", async () => {
  const { problems } = await readServiceFile(role + '[environment]\nA = ["hush"]', "/s/a.toml", defaults);
  assertEquals(problems.length, 1);
  assertEquals(problems.join().includes("hush"), false);
});

Deno.test("one bad file takes none of the others with it", async () => {
  using folder = new TempDirectory();
  await Deno.writeTextFile(folder.path("b.toml"), role);
  await Deno.writeTextFile(folder.path("a.toml"), role);
  await Deno.writeTextFile(folder.path("bad.toml"), "role = 1");
  await Deno.writeTextFile(folder.path(".hidden.toml"), "role = 1");
  await Deno.writeTextFile(folder.path("notes.txt"), "no service");
  await Deno.writeTextFile(folder.path("open.toml"), role);
  await Deno.chmod(folder.path("open.toml"), 0o666);
  await Deno.mkdir(folder.path("folder.toml"));
  const { services, problems } = await loadServiceFiles(folder.path("."), defaults);
  assertEquals(services.map(({ name }) => name), ["a", "b"]);
  assertEquals(problems.length, 3);
  assertStringIncludes(problems[0]!, "bad.toml");
  assertStringIncludes(problems[1]!, "folder.toml must be a file");
  assertStringIncludes(problems[2]!, "open.toml must not be writable by everybody");
});

Deno.test("a folder that is not there, or cannot be read, says nothing about services", async () => {
  const gone = await assertRejects(() => loadServiceFiles("/nonexistent/services", defaults), CulvertError);
  assertEquals(gone.code, "no_folder");
  assertStringIncludes(gone.message, "/nonexistent/services must be a folder of service files; there is none");
  const none = await assertRejects(() => loadServiceFiles("/dev/null", defaults), CulvertError);
  assertEquals(none.code, "bad_folder");
});

Deno.test("files beyond the most that may be are told of as files that cannot be used", async () => {
  using folder = new TempDirectory();
  for (let n = 0; n < 1001; n++) Deno.writeTextFileSync(folder.path(`s${String(n).padStart(4, "0")}.toml`), "");
  const { broken, problems } = await loadServiceFiles(folder.path("."), defaults);
  assert(broken.includes("s1000"));
  assertStringIncludes(problems[0]!, "must hold at most 1000 service files, got 1001");
});

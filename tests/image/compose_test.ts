/**
 * The compose files of deploy/compose: every command line is one that the role takes, with every variable and file that it needs.
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { parse as parseToml } from "@std/toml";
import deno from "../../deno.json" with { type: "json" };
import { decodeBase64 } from "../../protocol/encoding.ts";
import { readConfig } from "../../roles/config.ts";
import { environmentName } from "../../roles/config/names.ts";
import { fieldsOf } from "../../roles/config/schema.ts";
import { registry } from "../../roles/registry.ts";
import { type Role, roleGroups } from "../../roles/role.ts";
import { type Compose, parseCompose, parseEnvFile, type Service, variablesOf } from "./fixtures/compose.ts";

const FOLDER = new URL("../../deploy/compose/", import.meta.url);
const IMAGE = `culvert:${deno.version}`;
const variables = parseEnvFile(readFile("env.example"));
const files = [...Deno.readDirSync(FOLDER)].map(({ name }) => name).filter((name) => name.endsWith(".yaml")).sort();

function readFile(name: string): string {
  return Deno.readTextFileSync(new URL(name, FOLDER));
}

async function roleOf(name: string): Promise<Role> {
  const entry = registry.find((entry) => entry.name === name);
  assert(entry, `there is no role ${name}`);
  return await entry.load();
}

/** A service's own settings, read as the program would. */
async function readSettings(role: Role, { command = [], environment = {} }: Service): Promise<Record<string, unknown>> {
  const subject = { role: role.name, action: "start", roles: [role.name], groups: roleGroups(role) };
  const { Flags: settings } = await readConfig(subject, {
    args: command.slice(1),
    env: (name) => environment[name],
    readTextFile: () => Promise.reject(new Error("no files here")),
  });
  return settings!;
}

function ours(compose: Compose): [string, Service][] {
  return Object.entries(compose.services).filter(([, { image }]) => image === IMAGE);
}

/** The flags of the services that a manager is given. */
function managed(): string[] {
  return [...Deno.readDirSync(new URL("services/", FOLDER))].flatMap(({ name }) => {
    const { flags } = parseToml(readFile(`services/${name}`)) as { readonly flags?: readonly string[] };
    return flags ?? [];
  });
}

/** Whether a flag or a variable says so of the container's port; KCP and packet relays listen at every address anyhow. */
function isListenedOn(published: string, { command = [], environment = {}, volumes = [] }: Service): boolean {
  const [port, protocol] = published.split(":").at(-1)!.split("/");
  const said = [...command, ...Object.entries(environment).map(([name, value]) => `${name}=${value}`)];
  // What a manager keeps up is in the files that it is given.
  if (volumes.some((volume) => volume.startsWith("./services:"))) said.push(...managed());
  const isSaid = (what: string) => new RegExp(`${what}( |$)`, "i").test(said.join(" "));
  return protocol === "udp" ? isSaid(`ports[= ]${port}`) : isSaid(`listen[= ](0\\.0\\.0\\.0)?:${port}`);
}

for (const file of files) {
  const compose = parseCompose(readFile(file), variables);

  Deno.test(`${file}: every command line and variable is one that its role takes`, async () => {
    assert(ours(compose).length > 0, `no service is of ${IMAGE}`);
    for (const [name, service] of ours(compose)) {
      const role = await roleOf(service.command![0]!);
      await readSettings(role, service).catch((error) => Promise.reject(new Error(`${name}: ${error.message}`)));
      const known = Object.values(roleGroups(role)).flatMap((schema) => fieldsOf(schema))
        .map(({ path }) => environmentName(path));
      for (const variable of Object.keys(service.environment ?? {})) {
        assert(known.includes(variable), `${name}: ${role.name} does not read ${variable}`);
      }
    }
  });

  Deno.test(`${file}: services may do no more than they must, and keep their state`, () => {
    for (const [name, service] of ours(compose)) {
      assertEquals([service.read_only, service.cap_drop], [true, ["ALL"]], name);
      assertEquals(service.user !== undefined, service.cap_add !== undefined, `${name}: rights without root are none`);
      const volume = service.volumes?.find((volume) => volume.endsWith(":/var/lib/culvert"));
      assert(volume && volume.split(":")[0]! in compose.volumes!, `${name} keeps no state`);
    }
  });

  Deno.test(`${file}: what is published is listened on, at every address of the container`, () => {
    for (const [name, service] of ours(compose)) {
      for (const port of service.ports ?? []) {
        assert(isListenedOn(port, service), `${name}: nothing listens on 0.0.0.0 where ${port} leads`);
      }
    }
  });

  Deno.test(`${file}: every file that a command names is there`, () => {
    for (const [name, service] of ours(compose)) {
      const given = service.secrets?.map((secret) => `/run/secrets/${secret}`) ?? [];
      const mounted = service.volumes?.map((volume) => volume.split(":")[1]!) ?? [];
      const tmpfs = service.tmpfs?.map((mount) => mount.split(":")[0]!) ?? [];
      for (const [, path] of (service.command ?? []).join(" ").matchAll(/[= ](\/[\w./-]+)/g)) {
        const isThere = [...given, ...mounted, ...tmpfs].some((at) => path === at || path!.startsWith(`${at}/`));
        assert(isThere, `${name}: nothing is at ${path}`);
      }
      for (const secret of service.secrets ?? []) assert(secret in compose.secrets!, `${name}: no secret ${secret}`);
      for (const volume of service.volumes ?? []) {
        const from = volume.split(":")[0]!;
        if (from.startsWith("./") && from !== variables["SHARED_FOLDER"]) Deno.statSync(new URL(from, FOLDER));
      }
    }
  });
}

Deno.test("env.example has every variable of the compose files, and no other", () => {
  const asked = new Set(files.flatMap((file) => [...variablesOf(readFile(file))]));
  assertEquals(Object.keys(variables).sort(), [...asked].sort());
});

for (const file of ["vpn-server.yaml", "vpn-exit.yaml", "vpn-client.yaml"]) {
  Deno.test(`${file}: a network's key in .env is every role's; without one the network is open`, async () => {
    for (const key of ["", "Kqkgd4kF9i2Tgzdrwf+FyG98JEqbXj2DgxNmCG11OU4="]) {
      const compose = parseCompose(readFile(file), { ...variables, CULVERT_NETWORK_PUBLIC_KEY: key });
      for (const [name, service] of ours(compose)) {
        const { networkPublicKey } = await readSettings(await roleOf(service.command![0]!), service);
        assertEquals(networkPublicKey, key === "" ? undefined : decodeBase64(key), name);
      }
    }
  });
}

for (const plan of ["personal", "anonymity", "performance"]) {
  Deno.test(`fragments-${plan}.yaml runs what examples/${plan}.toml does`, () => {
    const compose = parseCompose(readFile(`fragments-${plan}.yaml`), variables);
    const text = Deno.readTextFileSync(new URL(`../../examples/${plan}.toml`, FOLDER));
    const { machines } = parseToml(text) as { machines: Record<string, Record<string, { path?: string }>> };
    const planned = Object.values(machines).flatMap((machine) => Object.entries(machine))
      .map(([role, { path }]) => [role, path?.replace("{base}", "base:8480")]);
    const run = ours(compose).map(([, { command }]) => [
      command![0],
      command!.find((flag) => flag.startsWith("--path="))?.slice("--path=".length),
    ]);
    assertEquals(run.map(String).sort(), planned.map(String).sort());
  });
}

Deno.test("a command line that no role takes is found", async () => {
  const service: Service = { image: IMAGE, command: ["base", "--lissten=0.0.0.0:8480"] };
  const role = await roleOf("base");
  await assertRejects(() => readSettings(role, service), Error, "--lissten");
});

Deno.test("a published port that nobody outside can reach is found", () => {
  const service = (listen: string): Service => ({ image: IMAGE, command: ["proxy", `--listen=${listen}`] });
  assert(isListenedOn("127.0.0.1:80:1080", service("0.0.0.0:1080")));
  assert(!isListenedOn("127.0.0.1:80:1080", service("127.0.0.1:1080")));
  assert(!isListenedOn("127.0.0.1:1080:80", service("0.0.0.0:1080")));
});

import { assertEquals, assertRejects } from "@std/assert";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { ConfigError } from "../config.ts";
import { type Plan, readPlan, settingsOf } from "./plan.ts";

async function planOf(text: string): Promise<Plan> {
  using directory = new TempDirectory();
  const path = directory.path("some.toml");
  await Deno.writeTextFile(path, text);
  return await readPlan(path);
}

const SMALL = `
summary = "A directory and a proxy."
[machines]
client.proxy = { path = ["tunnel+ws://T@{base}/", "direct:"], max_connections = 7 }
hub.base = { listen = "127.0.0.2:0" }
other.proxy = {}
`;

Deno.test("a plan names machines and their roles, which start directory first and proxies last", async () => {
  const { file, summary, machines, roles } = await planOf(SMALL);
  assertEquals([file, summary], ["some.toml", "A directory and a proxy."]);
  assertEquals(machines, ["client", "hub", "other"]);
  assertEquals(roles.map(({ machine, role }) => `${machine}/${role}`), ["hub/base", "client/proxy", "other/proxy"]);
});

Deno.test("a role is told what its plan says, where the directory is, and defaults for the rest", async () => {
  const plan = await planOf(SMALL);
  const filling = { bases: ["127.0.0.1:80"], defaults: { listen: "127.0.0.1:0", egressPolicy: "p.toml" } };
  const [base, client, other] = await Promise.all(plan.roles.map((each) => settingsOf(each, plan, filling)));
  assertEquals(base, { listen: "127.0.0.2:0" });
  assertEquals(client, {
    listen: "127.0.0.1:0",
    egressPolicy: "p.toml",
    path: ["tunnel+ws://T@127.0.0.1:80/", "direct:"],
    maxConnections: 7,
  });
  assertEquals(other, { listen: "127.0.0.1:0", egressPolicy: "p.toml" });
});

/** Each with what is said about it. */
const wrong: Record<string, { readonly plan: string; readonly says: string }> = {
  "no TOML": { plan: "[machines\n", says: "some.toml must be TOML" },
  "nothing": { plan: "", says: "machines in some.toml must be a section with 1 to 64 machines, got 0" },
  "no section": { plan: "machines = 3", says: "machines in some.toml must be a section with 1 to 64 machines, got 3" },
  "a key that is no part of it": {
    plan: `${SMALL}\n[machnes.x]`,
    says: "machnes in some.toml is not part of a plan; did you mean machines?",
  },
  "a summary that is no text": {
    plan: SMALL.replace('"A directory and a proxy."', "1"),
    says: "summary in some.toml must be text, got 1",
  },
  "no directory": {
    plan: "machines.client.proxy = {}",
    says: "machines in some.toml must hold the role base somewhere, got none",
  },
  "no proxy": {
    plan: "machines.a.base = {}",
    says: "machines in some.toml must hold the role proxy somewhere, got none",
  },
  "too many machines": {
    plan: Array.from({ length: 65 }, (_, at) => `machines.m${at}.base = {}\n`).join(""),
    says: "machines in some.toml must be a section with 1 to 64 machines, got 65",
  },
  "a name that is none": {
    plan: `${SMALL}"../a" = { base = {} }`,
    says: "machines.../a in some.toml must be named by up to 32 lower-case letters, digits and dashes, a letter first",
  },
  "a machine without a role": {
    plan: `${SMALL}idle = {}`,
    says: "machines.idle in some.toml must be a section with a role, such as base = {}, got none",
  },
  "a machine that is no section": {
    plan: `${SMALL}idle = "proxy"`,
    says: 'machines.idle in some.toml must be a section with a role, such as base = {}, got "proxy"',
  },
  "no such role": {
    plan: `${SMALL}third.prxy = {}`,
    says: "machines.third.prxy in some.toml is not a role that a plan can hold; did you mean proxy?",
  },
  "a role of another kind": {
    plan: `${SMALL}third.admin = {}`,
    says: "machines.third.admin in some.toml is not a role that a plan can hold; did you mean",
  },
  "a role that is no section": {
    plan: `${SMALL}third.proxy = true`,
    says: "machines.third.proxy in some.toml must be a section, got true",
  },
  "no such setting": {
    plan: `${SMALL}third.proxy = { listn = "127.0.0.1:0" }`,
    says: "machines.third.proxy.listn in some.toml is not a setting; did you mean listen?",
  },
  "a setting of no use": {
    plan: `${SMALL}third.proxy = { max_connections = 0 }`,
    says: "machines.third.proxy.max_connections in some.toml must be at least 1, got 0",
  },
  "a name that stands for nothing": {
    plan: `${SMALL}third.proxy = { path = "tunnel+ws://{bse}/" }`,
    says: "machines.third.proxy in some.toml has {bse}, which stands for nothing; there is {base}",
  },
};

for (const [name, { plan, says }] of Object.entries(wrong)) {
  Deno.test(`a plan is refused for ${name}`, async () => {
    await assertRejects(() => planOf(plan), ConfigError, says);
  });
}

Deno.test("everything that is wrong with a plan is said at once", async () => {
  const error = await assertRejects(() => planOf("machines = { A = {}, b = 1, c.d = {} }\nx = 1"), ConfigError);
  assertEquals(error.problems.length, 6);
});

Deno.test("a plan that is not there is named", async () => {
  await assertRejects(() => readPlan("/nowhere/plan.toml"), ConfigError, "--plan must be a file that can be read");
});

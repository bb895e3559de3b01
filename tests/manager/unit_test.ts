import { assert, assertEquals } from "@std/assert";
import { plainService } from "../../protocol/manager/fixtures/plain_service.ts";
import { MANAGER_UNIT, managerUnitText } from "../../protocol/manager/manager_unit_text.ts";
import type { Service } from "../../protocol/manager/service.ts";
import { unitNameOf, unitText } from "../../protocol/manager/unit_text.ts";
import { kindNames } from "../../roles/manager/install/kinds.ts";
import { testWith } from "../../testing/requirements.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";

/** What `systemd-analyze security` may say at most; 10 is no protection at all. */
const MOST_EXPOSED = 3.0;
/** Debian has it, and it owns nothing. */
const USER = "games";

const OWN = [Deno.execPath(), "run", "-A", "/usr/lib/culvert/roles/main.ts"] as const;
const programNames = ["paqet", "gfk", "xray"];

/** One for each kind that can be installed, and those that ask for the most. */
async function services(programs: string): Promise<Service[]> {
  const roles = (await kindNames()).map(({ name }) => name).filter((name) => !programNames.includes(name));
  const ofRole = (name: string, role: string, flags: readonly string[]) =>
    plainService(name, [...OWN, role, ...flags], {
      role,
      user: USER,
      notifies: true,
      environment: { DENO_DIR: "/var/cache/culvert/deno", CULVERT_KEY: "secret" },
      limits: { memoryBytes: 512 * 1024 * 1024, openFiles: 10_000, overMs: 60_000 },
      listen: [{ kind: "tcp", at: { host: "0.0.0.0", port: 443 } }],
    });
  return [
    ...roles.map((role) => ofRole(role, role, ["--config", `/etc/culvert/${role}.toml`])),
    ofRole("client-tun", "client", ["--tun"]),
    ofRole("exit-tun", "exit", ["--tun", "--state-dir", "/srv/exit"]),
    ofRole("kcp-raw", "kcp-server", ["--carrier", "raw"]),
    ...programNames.map((name) =>
      plainService(name, [`${programs}/${name}`, "-c", `/etc/culvert/${name}.json`], { user: USER })
    ),
  ];
}

async function analyze(...args: string[]): Promise<string> {
  const { stdout, stderr } = await new Deno.Command("systemd-analyze", { args, env: { SYSTEMD_COLORS: "0" } }).output();
  return new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
}

testWith({ tools: ["systemd-analyze"] }, "every unit is one that systemd takes, and exposes little", async () => {
  using folder = new TempDirectory();
  const names = [MANAGER_UNIT];
  Deno.writeTextFileSync(
    folder.path(MANAGER_UNIT),
    managerUnitText([...OWN, "manager"], { DENO_DIR: "/var/cache/a b%" }),
  );
  // What they need is known by their names, and their paths have to be there.
  for (const name of programNames) Deno.copyFileSync("/bin/true", folder.path(name));
  for (const service of await services(folder.path(""))) {
    const name = unitNameOf(service.name);
    names.push(name);
    const text = unitText(service, { environmentFile: `/run/culvert/${service.name}.env` });
    Deno.writeTextFileSync(folder.path(name), text);
  }
  const paths = names.map((name) => folder.path(name));
  const complaints = (await analyze("verify", "--man=no", ...paths)).split("\n").filter((line) => /culvert/.test(line));
  assertEquals(complaints, []);

  const said = await analyze("security", "--offline=true", "--no-pager", ...paths);
  const scores = [...said.matchAll(/^→ Overall exposure level for (culvert-\S+): ([\d.]+)/gmu)];
  assertEquals(scores.map(([, name]) => name).toSorted(), names.toSorted());
  for (const [, name, score] of scores) {
    console.log(`${score}  ${name}`);
    assert(Number(score) <= MOST_EXPOSED, `${name} has ${score}`);
  }
});

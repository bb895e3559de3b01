import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { dirname } from "@std/path";
import { CulvertError } from "../../protocol/errors.ts";
import { Answering, findRoute, InstallWorld, proxy } from "./fixtures/install_world.ts";

Deno.test("on a terminal a server is asked for its port, and not for its server", async () => {
  using world = new InstallWorld();
  world.machine = { ...world.machine, findRoute };
  const person = new Answering(..."paqet||server|9999|K|y".split("|"));
  await world.install({}, person);
  assert(!person.heard.some((line) => line.includes("client: the server")));
  assertStringIncludes(await Deno.readTextFile(world.path("etc/paqet.yaml")), "9999");
});

Deno.test("on a terminal it asks for what it must know, and writes after the last yes alone", async () => {
  using world = new InstallWorld();
  const person = new Answering(
    ..."?|kcp client|way out|way-out|nonsense|kcp+udp://K@192.0.2.7:4000/|localhost:x|127.0.0.1:1081".split("|"),
    ..."ftp://x|http://example.com/|s|y".split("|"),
  );
  await world.install({}, person);
  const heard = person.heard.join("\n");
  assertStringIncludes(heard, "kcp-client ");
  assertStringIncludes(heard, "A name has lower-case letters");
  assertStringIncludes(heard, "It must be host:port");
  assertStringIncludes(heard, "It must be a URL that starts with http");
  assertStringIncludes(heard, `=== ${world.path("etc/way-out.toml")}`);
  const config = await Deno.readTextFile(world.path("etc/way-out.toml"));
  assertStringIncludes(config, '\nlisten = ["127.0.0.1:1081"]\n');
  const service = await Deno.readTextFile(world.path("etc/services/way-out.toml"));
  assertStringIncludes(service, '\nprobe.through = "socks5://127.0.0.1:1081"\n');
});

Deno.test("one can go back, as far as to the first question", async () => {
  using world = new InstallWorld();
  const person = new Answering(
    ..."<|tunnel|<|proxy|a|127.0.0.1:1|<|127.0.0.1:2|<|127.0.0.1:3|direct:||<||y".split("|"),
  );
  await world.install({}, person);
  assertStringIncludes(person.heard.join("\n"), "This is the first question.");
  assertStringIncludes(await Deno.readTextFile(world.path("etc/a.toml")), '\nlisten = "127.0.0.1:3"\n');
});

Deno.test("from the last question of all one can go back to each before", async () => {
  using world = new InstallWorld();
  const person = new Answering(..."proxy|a|127.0.0.1:1|direct:||<|<|<|127.0.0.1:2|direct:||y".split("|"));
  await world.install({}, person);
  assertStringIncludes(await Deno.readTextFile(world.path("etc/a.toml")), '\nlisten = "127.0.0.1:2"\n');
  // Where flags have said all, that is the first.
  const second = new Answering("<", "y");
  await world.install({ ...proxy, set: ["listen=127.0.0.1:3", "path=direct:"], name: "b", probe: "http://h/" }, second);
  assertEquals(second.heard.filter((line) => line.startsWith("Do this?")).length, 2);
});

Deno.test("what is wrong with flags is told before anything is asked", async () => {
  using world = new InstallWorld();
  await world.install({ ...proxy, name: "there", yes: true });
  const rows: [flags: Record<string, unknown>, says: string][] = [
    [{ role: "proxy", set: ["listen=x"] }, "--set listen must be host:port"],
    [{ ...proxy, name: "No" }, "a service's name must be lower-case letters"],
    [{ ...proxy, name: "there" }, "such a service already"],
    [{ user: "x" }, "only root can run"],
  ];
  for (const [flags, says] of rows) {
    const person = new Answering("out", "", "", "", "y");
    await assertRejects(() => world.install(flags, person), CulvertError, says);
    assertEquals(person.heard, []);
  }
});

Deno.test("what flags do not say yet is asked, though the role cannot do without", async () => {
  using world = new InstallWorld();
  const person = new Answering(..."||https://b.example||y".split("|"));
  await world.install({ role: "relay" }, person);
  assertStringIncludes(await Deno.readTextFile(world.path("etc/relay.toml")), "https://b.example");
});

Deno.test("what shows to be wrong at last is answered anew, and flags still hold", async () => {
  using world = new InstallWorld();
  await world.install({ ...proxy, name: "there", yes: true });
  const person = new Answering(..."there|direct:|<|out|direct:|y".split("|"));
  await world.install({ ...proxy, probe: "http://h/" }, person);
  assertStringIncludes(person.heard.join("\n"), "such a service already");
  assertStringIncludes(await Deno.readTextFile(world.path("etc/services/out.toml")), 'probe.url = "http://h/"');
});

for (const [how, answers] of [["q", ["q"]], ["Ctrl-D", []], ["n at the end", ["", "", "", "", "n"]]] as const) {
  Deno.test(`given up by ${how}, nothing is written`, async () => {
    using world = new InstallWorld();
    const person = new Answering("proxy", ...answers);
    await assertRejects(() => world.install({}, person), CulvertError, "Nothing is installed");
    assertEquals(world.files(), []);
  });
}

Deno.test("what flags say is not asked", async () => {
  using world = new InstallWorld();
  const person = new Answering("", "", "y");
  await world.install({ ...proxy, name: "out" }, person);
  assert(!person.heard.some((line) => line.includes("Where programs find the proxy")));
  assertEquals(dirname(world.path("etc/out.toml")), world.path("etc"));
  assertStringIncludes(await Deno.readTextFile(world.path("etc/out.toml")), '\nlisten = "127.0.0.1:1099"\n');
});

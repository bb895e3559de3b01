import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { NetLab, removeStale } from "./netns.ts";
import { testWith } from "./requirements.ts";

const needs = { netns: true, tools: ["ip", "cat", "ping", "sleep", "true"] };

testWith(needs, "two namespaces reach each other, over v4 and v6", async () => {
  await using lab = await NetLab.open();
  const [a, b] = [await lab.namespace("a"), await lab.namespace("b")];
  await lab.connect(a, "10.77.0.1/24", b, "10.77.0.2/24");
  const [name] = await lab.connect(a, "fd77::1/64", b, "fd77::2/64");
  assertEquals(name, "eth1");
  assertStringIncludes((await a.run(["ip", "-4", "route", "get", "10.77.0.2"])).stdout, "dev eth0 src 10.77.0.1");
  assertStringIncludes((await b.run(["ip", "-6", "route", "get", "fd77::1"])).stdout, "dev eth1");
});

testWith(needs, "disposing removes the namespaces and ends what runs inside", async () => {
  let child: Deno.ChildProcess;
  let name: string;
  {
    await using lab = await NetLab.open();
    const namespace = await lab.namespace("busy");
    name = namespace.name;
    assert((await listed()).includes(name));
    child = namespace.spawn(["sleep", "600"]);
  }
  assert(!(await child.status).success);
  assert(!(await listed()).includes(name));
});

testWith(needs, "disposing ends a child that has not entered its namespace yet, and one that has ended", async () => {
  let late: Deno.ChildProcess;
  let name: string;
  {
    await using lab = await NetLab.open();
    const namespace = await lab.namespace("late");
    name = namespace.name;
    await namespace.spawn(["true"]).status;
    late = namespace.spawn(["sleep", "600"]);
    // Halted while `ip` still loads: the kernel does not list it among the namespace's processes.
    Deno.kill(late.pid, "SIGSTOP");
  }
  assertEquals((await late.status).signal, "SIGKILL");
  assert(!(await listed()).includes(name));
});

testWith(needs, "one namespace that cannot be disposed does not keep the others", async () => {
  const names: string[] = [];
  const failing = async () => {
    await using lab = await NetLab.open();
    for (const name of ["first", "second", "third"]) names.push((await lab.namespace(name)).name);
    const bad = await lab.namespace("bad");
    names.push(bad.name);
    const child = bad.spawn(["sleep", "600"]);
    const kill = child.kill.bind(child);
    child.kill = () => {
      kill("SIGKILL");
      throw new Error("a kill that fails");
    };
  };
  await assertRejects(failing, Error, "a kill that fails");
  const left = await listed();
  assertEquals(names.filter((name) => left.includes(name)), []);
});

testWith(needs, "a command that fails is an error with its output, unless it may fail", async () => {
  await using lab = await NetLab.open();
  const namespace = await lab.namespace("fails");
  await assertRejects(() => namespace.run(["cat", "/no/such/file"]), Error, "No such file");
  assertEquals((await namespace.run(["cat", "/no/such/file"], { mayFail: true })).code, 1);
});

testWith(needs, "what a dead test left is removed", async () => {
  const child = new Deno.Command("true").spawn();
  await child.status; // its pid is free now
  const stale = `culvert-test-${child.pid}-left`;
  await ip("netns", "add", stale);
  await removeStale();
  assert(!(await listed()).includes(stale));
});

async function listed(): Promise<string> {
  return await ip("netns", "list");
}

async function ip(...args: string[]): Promise<string> {
  return new TextDecoder().decode((await new Deno.Command("ip", { args }).output()).stdout);
}

testWith(needs, "those plugged into a bridge reach each other", async () => {
  await using lab = await NetLab.open();
  const bridge = await lab.bridge("bridge");
  const [a, b, c] = [await lab.namespace("a"), await lab.namespace("b"), await lab.namespace("c")];
  await lab.plug(a, bridge, ["10.77.0.1/24", "fd77::1/64"]);
  await lab.plug(b, bridge, ["10.77.0.2/24", "fd77::2/64"]);
  assertEquals(await lab.plug(c, bridge, ["10.77.0.3/24"]), "eth0");
  for (const address of ["10.77.0.2", "fd77::2", "10.77.0.3"]) await a.run(["ping", "-c1", "-w5", address]);
});

/**
 * Base is killed: sessions go on, what base last said serves new ones, and once it is back, on the store it had, everybody
 * is known there again.
 */

import { assert } from "@std/assert";
import { freePort } from "../../testing/program.ts";
import { eventually } from "../../testing/waiting.ts";
import { hello, helloAtLast, isHello, Processes, type RoleProcess } from "./fixtures/processes.ts";

function startSupernode(processes: Processes, region: string, base: string): Promise<RoleProcess> {
  const listen = ["--listen", `127.0.0.1:${freePort()}`];
  return processes.start("supernode", region, ["--region", region, "--base", `http://${base}`, ...listen]);
}

function startClient(processes: Processes, name: string, at: RoleProcess): Promise<RoleProcess> {
  const flags = ["--listen", "127.0.0.1:0", "--region", "south", "--supernode", at.addresses["supernode"]!];
  return processes.start("client", name, flags);
}

Deno.test("base is killed: sessions go on, known exits serve new clients, and base knows everybody again once it is back", async () => {
  await using processes = new Processes();
  const port = freePort();
  const startBase = () => processes.start("base", "base", ["--listen", `127.0.0.1:${port}`]);
  const base = await startBase();
  const [north, south] = [
    await startSupernode(processes, "north", base.addresses["listen"]!),
    await startSupernode(processes, "south", base.addresses["listen"]!),
  ];
  const exitFlags = ["--region", "south", "--supernode", south.addresses["supernode"]!];
  const exit = await processes.start("exit", "exit", exitFlags);
  const first = (await startClient(processes, "first", north)).addresses["listen"]!;
  await helloAtLast(first);

  await base.kill();
  assert(isHello(await hello(first)));
  const second = (await startClient(processes, "second", north)).addresses["listen"]!;
  assert(isHello(await helloAtLast(second)));

  // An exit that goes is worth telling base at once.
  await exit.kill();
  await eventually("a supernode that misses base", async () => (await south.failing())["base"] !== undefined);
  await startBase();
  await processes.start("exit", "exit", exitFlags);
  for (const supernode of [north, south]) {
    await eventually("a supernode that is known", async () => (await supernode.failing())["base"] === undefined);
  }
  assert(isHello(await helloAtLast(second)));
  const third = (await startClient(processes, "third", north)).addresses["listen"]!;
  assert(isHello(await helloAtLast(third)));
});

/**
 * A supernode whose store is locked by another program, or on a disk that is full: it says so in its log, its readiness
 * and its metrics, lets nobody in, and carries the streams of sessions that there are; and all is well again once the
 * store works.
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { encodeBase64Url } from "../../protocol/encoding.ts";
import { peerId } from "../../kv/fixtures/records.ts";
import { testWith } from "../../testing/requirements.ts";
import { eventually } from "../../testing/waiting.ts";
import { StoreLock } from "./fixtures/lock.ts";
import { hello, helloAtLast, isHello, type RoleProcess } from "./fixtures/processes.ts";
import { SupernodeUnderTest } from "./fixtures/supernode.ts";

/** An exit and a client as they are, with a session; gives the client's proxy. */
async function startTraffic({ processes, process }: SupernodeUnderTest): Promise<string> {
  const supernode = ["--supernode", process.addresses["supernode"]!];
  await processes.start("exit", "exit", ["--region", "here", ...supernode]);
  const client = await processes.start("client", "client", ["--listen", "127.0.0.1:0", ...supernode]);
  const proxy = client.addresses["listen"]!;
  await helloAtLast(proxy);
  return proxy;
}

/** The store is in trouble, and known to be. */
async function untilTroubled(process: RoleProcess, code: string): Promise<void> {
  await eventually("trouble", async () => (await process.failing())["store"] !== undefined);
  const metrics = await process.metrics();
  assertStringIncludes(metrics, "store_up 0");
  assertStringIncludes(metrics, `store_failures_total{code="${code}"}`);
  const lines = (await process.log()).split("\n").filter((line) => line.includes("The store cannot be written to"));
  assertEquals(lines.length, 1);
  assertStringIncludes(lines[0]!, `"code":"${code}"`);
}

async function untilWell(process: RoleProcess): Promise<void> {
  await eventually("a store that works", async () => (await process.failing())["store"] === undefined);
  assertStringIncludes(await process.metrics(), "store_up 1");
  assertStringIncludes(await process.log(), "The store can be written to again");
}

Deno.test("a supernode whose store is locked says so, carries the streams there are, and goes on once it is let go", async () => {
  await using supernode = new SupernodeUnderTest();
  await supernode.start();
  const proxy = await startTraffic(supernode);
  using lock = new StoreLock(supernode.kvPath);
  const newcomer = await supernode.addPeer("client");
  await untilTroubled(supernode.process, "store_locked");
  assert(isHello(await hello(proxy)));
  assert(!newcomer.isOpen);
  lock[Symbol.dispose]();
  await untilWell(supernode.process);
  await eventually("a newcomer that is let in", () => newcomer.isOpen);
  assert(isHello(await hello(proxy)));
});

/** Writes until nothing more goes on the disk. */
function fill(path: string): Deno.FsFile {
  const ballast = Deno.openSync(path, { write: true, create: true });
  const block = new Uint8Array(4096);
  for (let isFull = false; !isFull;) {
    try {
      ballast.writeSync(block);
    } catch {
      isFull = true;
    }
  }
  return ballast;
}

/** A command for a peer that never comes, so that something has to be kept. */
function largeOrder(number: number): object {
  const url = `https://${"a".repeat(1500)}.example/`;
  const supernodes = Array.from({ length: 8 }, (_, at) => ({ url, supernodeId: peerId(at) }));
  const sessionId = encodeBase64Url(crypto.getRandomValues(new Uint8Array(16)));
  const payload = { reason: "moved", supernodes, leaveWithinMs: 0 };
  return {
    peerId: peerId(1000 + number),
    command: { kind: "RELAY_UPDATE", sessionId, payload, timeoutMs: 600_000 },
    queue: true,
  };
}

const onSmallDisk = fromFileUrl(new URL("./fixtures/on_small_disk.sh", import.meta.url));

testWith(
  { root: true, tools: ["unshare", "mount"] },
  "a supernode whose disk is full says so, carries the streams there are, and goes on once there is room",
  async () => {
    await using supernode = new SupernodeUnderTest();
    const disk = supernode.processes.path("disk");
    await Deno.mkdir(disk);
    await supernode.start({ kv: `${disk}/supernode.db`, within: ["unshare", "--mount", "sh", onSmallDisk, disk] });
    const { process } = supernode;
    const proxy = await startTraffic(supernode);
    // The disk is in a mount namespace of its own, so that it is gone when the process is.
    using ballast = fill(`/proc/${process.program.pid}/root${disk}/ballast`);
    const stop = new AbortController();
    let orders = 0;
    // What the store has allotted to its log already still takes a few writes.
    await eventually("a full disk", async () => {
      process.admin("POST", "/v1/commands", largeOrder(orders++), stop.signal).catch(() => {});
      return (await process.failing())["store"] !== undefined;
    });
    await untilTroubled(process, "store_full");
    assert(isHello(await hello(proxy)));
    const newcomer = await supernode.addPeer("client");
    ballast.truncateSync(0);
    await untilWell(process);
    await eventually("a newcomer that is let in", () => newcomer.isOpen);
    assert(isHello(await hello(proxy)));
    stop.abort();
  },
);

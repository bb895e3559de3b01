/**
 * One downstream as two processes on one SQLite file: what central posts to one reaches a client that listens at the
 * other.
 */

import { assert, assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { createKvMailboxes } from "../kv/mailbox.ts";
import { openKv } from "../kv/open.ts";
import { clockOf } from "../protocol/clock.ts";
import { downAlias } from "../protocol/fragment/aliases.ts";
import { portablePrimitives as primitives } from "../protocol/primitives.ts";
import { randomOf } from "../protocol/random.ts";
import { Program } from "../testing/program.ts";
import { TempDirectory } from "../testing/temp_directory.ts";
import { DownstreamRelay } from "./downstream/relay.ts";
import { centralRecord, FakeChannel, FakeHop, FakeRelays, hopMessage } from "./fixtures/relays.ts";

const otherProcess = fromFileUrl(import.meta.resolve("./fixtures/downstream_process.ts"));
const claim = new Uint8Array(32).fill(7);
const alias = downAlias(claim, primitives);
/** It is looked every 20 to 25 ms at either process; the rest is for a machine that has much to do. */
const MAX_DELAY_MS = 400;

Deno.test("what central posts to one process reaches a client that listens at another, soon", async () => {
  using temp = new TempDirectory();
  const path = temp.path("down.kv");
  using kv = await openKv(path);
  const clock = clockOf(globalThis);
  const hop = new FakeHop();
  await using relay = new DownstreamRelay({
    relays: new FakeRelays(),
    acceptHop: (_channel, welcome) => {
      hop.handlers = welcome(hop, centralRecord());
      return Promise.resolve(hop);
    },
    mailboxes: createKvMailboxes(kv, clock, { space: "down" }),
    primitives,
    clock,
    random: randomOf(crypto),
  });
  relay.joinHop(new FakeChannel());
  const post = (first: number, length: number) =>
    hop.handlers!.onMessage(hopMessage(2, alias, new Uint8Array(length).fill(first)));

  post(1, 100); // before anybody listens
  await using other = new Program([Deno.execPath(), "run", "-A", "--unstable-kv", otherProcess, path, claim.toHex()]);
  assertEquals(await other.readJson(), { ready: true });
  const early = await other.readJson();
  assertEquals([early.bytes, early.length], [new Array(8).fill(1), 101]);
  const delaysMs: number[] = [];
  for (let turn = 2; turn < 12; turn++) {
    const sentAtMs = Date.now();
    post(turn, 20_000);
    const come = await other.readJson();
    assertEquals([come.bytes, come.length], [new Array(8).fill(turn), 20_001]);
    delaysMs.push(Number(come.atMs) - sentAtMs);
  }
  delaysMs.sort((a, b) => a - b);
  assert(delaysMs[5]! < MAX_DELAY_MS, `half took longer than ${delaysMs[5]} ms`);
});

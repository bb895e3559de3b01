/**
 * What upstreams and downstreams see of a client's session: sealed fragments of four sizes, and names that no other relay
 * gets to see. Without what they see of every client alike, two of them share not eight bytes.
 */

import { assert, assertEquals } from "@std/assert";
import { formatTarget, readFull, writeAll } from "../../protocol/stream.ts";
import { ByteLog } from "../../testing/byte_log.ts";
import { dialSocks5, untilReachable } from "../../testing/socks_client.ts";
import { eventually } from "../../testing/waiting.ts";
import { CheckedTarget, download, upload } from "../fixtures/checked_target.ts";
import { carriesFragments, fragmentsOf } from "../fixtures/fragment_meddling.ts";
import { FragmentNetwork, type RelayNetwork, type Watched } from "../fixtures/relay_network.ts";

const SECRET = "the words that nobody on the way may read";
const ANSWER = "and those that are said to them";
const SIZES = [512, 2048, 8192, 32768];

/** Takes a question and says its answer. */
async function answerOnce(listener: Deno.TcpListener): Promise<void> {
  using conn = await listener.accept();
  await readFull(conn, new Uint8Array(SECRET.length));
  await writeAll(conn, new TextEncoder().encode(ANSWER));
}

/** What each relay sees of a new client, who asks, is answered, and moves some bytes each way. */
async function sightOfClient(network: RelayNetwork, url: string, relays: readonly Watched[]): Promise<ByteLog[]> {
  await using target = new CheckedTarget();
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const answering = answerOnce(listener);
  for (const { meddler } of relays) meddler.seen = new ByteLog();
  const { role, at } = await network.startProxy(url);
  await untilReachable(at, target.address);
  const { hostname: host, port } = listener.addr as Deno.NetAddr;
  {
    using conn = await dialSocks5(at, { host, port });
    await writeAll(conn, new TextEncoder().encode(SECRET));
    const answer = new Uint8Array(ANSWER.length);
    assert(await readFull(conn, answer));
    assertEquals(new TextDecoder().decode(answer), ANSWER);
  }
  await answering;
  await download(at, target.address, { bytes: 600_000 });
  await upload(at, target.address, { bytes: 600_000 });
  await role.program.stop();
  const seen = relays.map(({ meddler }) => meddler.seen);
  const share = seen.map(({ byteCount }) => byteCount);
  assert(share.every((bytes) => bytes > 50_000), `every relay has its share: ${share}`);
  const told = [SECRET, ANSWER, formatTarget({ host, port }), formatTarget(target.address)];
  for (const words of told) assertEquals(seen.filter((log) => log.has(words)).length, 0, words);
  return seen;
}

Deno.test("what relays see of a session", async (test) => {
  await using fragments = await FragmentNetwork.start();
  const { network, relays, url } = fragments;
  await fragments.proxy.program.stop();
  const sizes = new Set<number>();
  for (const { kind, meddler } of relays) {
    meddler.meddle = (message, direction) => {
      if (carriesFragments(kind, message, direction)) {
        fragmentsOf(message, direction).forEach(({ length }) => sizes.add(length));
      }
      return [message];
    };
  }
  const known = new ByteLog();
  await test.step("neither words nor targets of one client", async () => {
    for (const log of await sightOfClient(network, url, relays)) known.addAll(log);
  });
  await test.step("nothing of another client by which two of them could match it", async () => {
    const seen = await sightOfClient(network, url, relays);
    for (const [at, one] of seen.entries()) {
      for (const other of seen.slice(at + 1)) assertEquals(one.shared(other, known), []);
    }
  });
  await test.step("fragments of the size classes alone", () => {
    assertEquals([...sizes].filter((size) => !SIZES.includes(size)), []);
    assert(sizes.size > 1, `${[...sizes]}`);
  });
  await test.step("and nothing stays behind", async () => {
    await eventually(
      "the sessions' end at central",
      async () => /central_sessions_active 0/.test(await fragments.central.metrics()),
    );
  });
});

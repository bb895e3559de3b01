/**
 * Circuits over relays that are processes, with somebody in front of each relay.
 *
 *   test ─ SOCKS5 ─▶ proxy ⇄ meddler ⇄ relay ⇄ meddler ⇄ relay ⇄ gateway ─▶ test's own target
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { formatTarget, readFull, writeAll } from "../../protocol/stream.ts";
import { ByteLog } from "../../testing/byte_log.ts";
import { dialSocks5, untilReachable } from "../../testing/socks_client.ts";
import { eventually, within } from "../../testing/waiting.ts";
import { CheckedTarget, download, upload } from "../fixtures/checked_target.ts";
import { RelayNetwork, startCircuitRelays, type Watched } from "../fixtures/relay_network.ts";

const BYTES = 10_000_000;
const SECRET = "the words that nobody on the way may read";

Deno.test("bytes each way go through two relays and a gateway", async (test) => {
  await using target = new CheckedTarget();
  await using network = new RelayNetwork();
  const { relays, url } = await startCircuitRelays(network, 3);
  const { at, role } = await network.startProxy(`${url}&rotate=2-3`);
  await untilReachable(at, target.address);

  await test.step("as they were sent", async () => {
    await download(at, target.address, { bytes: BYTES });
    await upload(at, target.address, { bytes: BYTES });
  });

  await test.step("streams live on while circuits are replaced", async () => {
    const circuits = async () => Number(/circuit_rotations_total (\d+)/.exec(await role.metrics())?.[1] ?? 0);
    const before = await circuits();
    let enough = false;
    const streams = Array.from({ length: 5 }, () =>
      download(at, target.address, {
        bytes: 4_000_000,
        onProgress: async (arrived) => {
          if (arrived > 1_000_000) await eventually("new circuits", () => enough);
        },
      }));
    await eventually("three more circuits", async () => await circuits() >= before + 3);
    enough = true;
    await Promise.all(streams);
  });

  await test.step("a relay that dies costs its streams, and circuits are built around it", async () => {
    await relays[0]!.role.kill();
    await untilReachable(at, target.address);
    await download(at, target.address, { bytes: 100_000 });
  });
});

interface Meddling {
  readonly name: string;
  /** `count` grows by one from one message to the next. */
  meddle(message: Uint8Array<ArrayBuffer>, count: number): readonly Uint8Array[];
}

/** Longer than messages that say how far a window is. */
const DATA_BYTES = 16_000;

const meddlings: readonly Meddling[] = [
  { name: "changes a byte", meddle: (message) => [message.with(message.length - 100, message.at(-100)! ^ 1)] },
  { name: "drops bytes", meddle: (message) => [message.subarray(0, -2048)] },
  { name: "repeats", meddle: (message) => [message, message] },
  { name: "puts messages out of order", meddle: shuffler() },
];

Deno.test("a relay that meddles with cells ends circuits, and delivers nothing that is wrong", async (test) => {
  await using target = new CheckedTarget();
  await using network = new RelayNetwork();
  const { relays, url } = await startCircuitRelays(network, 2);
  const { at } = await network.startProxy(url);
  await untilReachable(at, target.address);
  for (const { name, meddle } of meddlings) {
    for (const [place, { meddler }] of relays.entries()) {
      await test.step(`relay ${place + 1} ${name}`, async () => {
        let meddled = 0;
        meddler.meddle = (message) => {
          // Not the first ones, so that it happens in the middle; and what is small is no data.
          if (message.length < DATA_BYTES || ++meddled < 20) return [message];
          return meddle(message, meddled);
        };
        // Either the circuit ends with an error, or, where only what lies around cells was touched, its link does.
        const broken = download(at, target.address, { bytes: 30_000_000 });
        const error = await assertRejects(() => broken, Error);
        assert(/^The stream ended|reset|aborted/i.test(error.message), error.message);
        meddler.meddle = (message) => [message];
        await untilReachable(at, target.address);
        await download(at, target.address, { bytes: 100_000 });
      });
    }
  }
});

/** Each second message comes before the one that it follows. */
function shuffler(): Meddling["meddle"] {
  let held: Uint8Array | undefined;
  return (message, count) => {
    if (count % 2 === 0) {
      held = message;
      return [];
    }
    return held ? [message, held] : [message];
  };
}

/** What each relay sees of a new client who says something to a target and moves bytes each way. */
async function sightOfClient(network: RelayNetwork, url: string, relays: readonly Watched[]): Promise<ByteLog[]> {
  await using target = new CheckedTarget();
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { hostname: host, port } = listener.addr as Deno.NetAddr;
  for (const { meddler } of relays) meddler.seen = new ByteLog();
  const { role, at } = await network.startProxy(url);
  await untilReachable(at, target.address);
  {
    const accepting = listener.accept();
    using near = await dialSocks5(at, { host, port });
    using far = await accepting;
    await writeAll(near, new TextEncoder().encode(SECRET));
    assert(await readFull(far, new Uint8Array(SECRET.length)));
  }
  await download(at, target.address, { bytes: 300_000 });
  await upload(at, target.address, { bytes: 300_000 });
  await role.program.stop();
  const seen = relays.map(({ meddler }) => meddler.seen);
  const told = [SECRET, formatTarget({ host, port }), formatTarget(target.address)];
  for (const words of told) assertEquals(seen.filter((log) => log.has(words)).length, 0, words);
  return seen;
}

Deno.test("relays of a circuit see neither words nor targets, and share nothing to match it by", async () => {
  await using network = new RelayNetwork();
  const { relays, url } = await startCircuitRelays(network, 2);
  const known = new ByteLog();
  const once = `${url}&circuits=1`;
  for (const log of await sightOfClient(network, once, relays)) known.addAll(log);
  const [one, other] = await sightOfClient(network, once, relays);
  for (const log of [one!, other!]) assert(log.byteCount > 600_000, `a relay saw ${log.byteCount} bytes`);
  assertEquals(one!.shared(other!, known), []);
});

Deno.test("a gateway is in the directory by its keys alone, and nobody but its relays can reach it", async () => {
  await using network = new RelayNetwork();
  const { relays, gateway } = await startCircuitRelays(network, 1);
  assertEquals(Object.keys(gateway.addresses).filter((name) => name !== "metrics"), []);
  await within(
    "the gateway in the directory",
    eventually("a gateway", async () => {
      const listed = await (await fetch(`http://${network.baseHost}/v1/relays?kind=relay`)).text();
      return listed.includes(gateway.peerId) && listed.includes(relays[0]!.role.peerId);
    }),
  );
});

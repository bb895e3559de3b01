/**
 * Either end of a session is gone from one moment to the next: what the other one hears of it, and what is left behind.
 */

import { assert, assertRejects } from "@std/assert";
import { eventually, within } from "../../testing/waiting.ts";
import { untilReachable } from "../../testing/socks_client.ts";
import { CheckedTarget, download } from "../fixtures/checked_target.ts";
import type { RoleProcess } from "../chaos/fixtures/processes.ts";
import { FragmentNetwork } from "../fixtures/relay_network.ts";

const BYTES = 100_000_000;
/** Within so long each end must hear of the other's death. */
const NEWS_MS = 15_000;
/** Central asks a client of whom it hears nothing after 15 s, and waits for as long again. */
const FORGOTTEN_MS = 60_000;
/** What downstreams are told to keep for a session that nobody listens to. */
const MAILBOX_BYTES = 16 * 1024;

async function metricOf(role: RoleProcess, name: string): Promise<number> {
  return Number(new RegExp(`^${name} (\\d+)`, "m").exec(await role.metrics())?.[1] ?? 0);
}

Deno.test("a central that vanishes in the middle of an answer is an error, and the next request goes to another", async () => {
  await using target = new CheckedTarget();
  await using network = await FragmentNetwork.start({ upstreams: 2, downstreams: 2, query: "sessions=1" });
  await untilReachable(network.at, target.address);
  const other = await network.network.startCentral();
  const broken = download(network.at, target.address, {
    bytes: BYTES,
    onProgress: async (arrived) => {
      if (arrived > 1_000_000 && arrived < 1_200_000) await network.central.kill();
    },
  });
  await within("the error", assertRejects(() => broken, Error, "The stream ended after"), { limitMs: NEWS_MS });
  await untilReachable(network.at, target.address);
  await download(network.at, target.address, { bytes: 100_000 });
  assert(/central_openings_total{outcome="ok"} [1-9]/.test(await other.metrics()));
});

Deno.test("a client that vanishes leaves nothing at central or at its relays", async () => {
  await using target = new CheckedTarget();
  await using network = await FragmentNetwork.start({
    upstreams: 2,
    downstreams: 2,
    downstreamFlags: ["--mailbox-expiry", "5s", "--mailbox-size", `${MAILBOX_BYTES}`],
    query: "sessions=1",
  });
  await untilReachable(network.at, target.address);
  const broken = download(network.at, target.address, {
    bytes: BYTES,
    onProgress: async (arrived) => {
      if (arrived > 1_000_000 && arrived < 1_200_000) await network.proxy.kill();
    },
  });
  await assertRejects(() => broken);
  let mostKept = 0;
  let isBounded = true;
  await eventually("the end of the stream at its target", async () => {
    for (const { role } of network.downstreams) {
      const [kept, mailboxes] = await Promise.all([
        metricOf(role, "downstream_kept_bytes"),
        metricOf(role, "downstream_mailboxes_active"),
      ]);
      mostKept = Math.max(mostKept, kept);
      isBounded &&= kept <= Math.max(1, mailboxes) * MAILBOX_BYTES;
    }
    return target.open === 0;
  }, { limitMs: FORGOTTEN_MS });
  assert(isBounded, `as much as ${mostKept} bytes were kept for nobody`);
  await eventually(
    "the end of its sessions",
    async () => await metricOf(network.central, "central_sessions_active") === 0,
    { limitMs: FORGOTTEN_MS },
  );
  const dropped = await Promise.all(
    network.downstreams.map(({ role }) => metricOf(role, "downstream_dropped_bytes_total")),
  );
  // Where the end was noticed before more was sent, there was nothing to drop.
  const isDropped = mostKept === 0 || dropped.some((bytes) => bytes > 0);
  assert(isDropped, `what nobody came for must be dropped: ${mostKept} were kept, and dropped ${dropped}`);
  for (const { role } of network.downstreams) {
    for (const what of ["downstream_mailboxes_active", "downstream_kept_bytes", "downstream_listeners_active"]) {
      await eventually(`${what} 0`, async () => await metricOf(role, what) === 0);
    }
  }
});

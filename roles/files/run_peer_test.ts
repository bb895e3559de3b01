import { assertEquals, assertRejects } from "@std/assert";
import { newIdentity } from "../../net/peers/fixtures/peer_world.ts";
import { clockOf } from "../../protocol/clock.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { eventually, within } from "../../testing/waiting.ts";
import { ConfigError } from "../config.ts";
import { role } from "../peer.ts";
import { startRole } from "../role.ts";
import { askPeer } from "./peer_control.ts";

/** Below the drain timeout of a peer that is stopped, in which nothing is left to be sent here. */
const END_MS = 8_000;

/** Takes connections and says nothing. */
function startSilent(): { readonly port: number; readonly heldCount: () => number } & AsyncDisposable {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const held: Deno.TcpConn[] = [];
  const taking = (async () => {
    for await (const conn of listener) held.push(conn);
  })();
  return {
    port: listener.addr.port,
    heldCount: () => held.length,
    async [Symbol.asyncDispose]() {
      listener.close();
      await taking;
      for (const conn of held) conn.close();
    },
  };
}

Deno.test("a peer whose tracker and relay never answer ends all the same when it is stopped", async () => {
  using temp = new TempDirectory();
  await using silent = startSilent();
  const at = `127.0.0.1:${silent.port}`;
  const settings = { folder: temp.path(""), listen: "127.0.0.1:0", readOnly: true };
  const config = role.config.parse({
    ...settings,
    tracker: [`http://${at}/`],
    relay: [`http://${newIdentity().peerId}@${at}/`],
  });
  const stateDir = temp.path(".state");
  await using peer = startRole(role, config, { stateDir });
  const { addresses } = await within("the peer", peer.ready);
  const { signal } = new AbortController();
  const report = await askPeer({ clock: clockOf(globalThis), signal, stateDir });
  assertEquals([report.trackers.map(({ isListed }) => isListed), report.relays.map(({ isUp }) => isUp)], [[false], [
    false,
  ]]);
  // Somebody waits for what the tracker knows, and for a way to a peer that only it may know.
  const asked = ["api/peers", `peers/${newIdentity().peerId}/api/self`].map(async (path) => {
    const answer = await fetch(`${addresses.files}${path}`);
    await answer.body?.cancel();
  });
  await eventually("they have asked", () => silent.heldCount() >= 4);
  await within("its end", peer.stop(), { limitMs: END_MS });
  await Promise.allSettled(asked);
});

Deno.test("a peer does not share the directory in which its own secrets are", async () => {
  using temp = new TempDirectory();
  const folder = temp.path("");
  const table: [stateDir: string, settings: { readonly hidden?: boolean }, isRefused: boolean][] = [
    ["state", {}, true],
    [".state", { hidden: true }, true],
    [".state", {}, false],
  ];
  for (const [name, settings, isRefused] of table) {
    const config = role.config.parse({ folder, direct: false, readOnly: true, ...settings });
    await using peer = startRole(role, config, { stateDir: temp.path(name) });
    const outcome = await peer.ready.then(() => undefined, (error) => error.message as string);
    assertEquals(outcome?.includes("must not hold the state directory") ?? false, isRefused, name);
    if (isRefused) await assertRejects(() => peer.done, ConfigError);
  }
});

import { assertEquals } from "@std/assert";
import { parseTarget } from "../../protocol/stream.ts";
import { SilentRelay } from "../../testing/silent_relay.ts";
import { within } from "../../testing/waiting.ts";
import { startGuest, startHost, startRelay } from "./fixtures/peer_world.ts";

/** Below the time a peer has to end. */
const END_MS = 8_000;

function ended(what: string, one: AsyncDisposable): Promise<void> {
  return within(what, Promise.resolve(one[Symbol.asyncDispose]()), { limitMs: END_MS });
}

Deno.test("guest and host end although the other says nothing any more", async () => {
  const host = startHost();
  await using line = SilentRelay.start(parseTarget(host.address!)!);
  const { host: at, port } = line.address;
  const guest = startGuest();
  const connection = await guest.network.connect(host.card({ addresses: [`${at}:${port}`] }));
  const stream = await connection.open();
  line.fallSilent();
  // More than a line holds, so that the seal is in the middle of a write.
  const writing = Array.from({ length: 64 }, () => stream.write(new Uint8Array(64 * 1024)).catch(() => 0));
  await ended("the guest's end", guest);
  await ended("the host's end", host);
  await Promise.all(writing);
});

Deno.test("a peer and a relay end although the line between them says nothing any more", async () => {
  const relay = startRelay();
  await using line = SilentRelay.start({ host: "127.0.0.1", port: Number(new URL(relay.place.url).port) });
  const { host: at, port } = line.address;
  const place = { ...relay.place, url: `http://${at}:${port}/` };
  const host = startHost({ listens: false, relays: [{ ...relay, place }] });
  await host.met();
  const guest = startGuest();
  const { way } = await guest.network.connect(host.card());
  assertEquals(way, "relayed");
  line.fallSilent();
  await ended("the guest's end", guest);
  await ended("the host's end", host);
  await ended("the relay's end", relay);
});

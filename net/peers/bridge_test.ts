import { assertEquals, assertMatch } from "@std/assert";
import { clockOf } from "../../protocol/clock.ts";
import { bridgeSchema } from "../../protocol/files/owner_api.ts";
import { silentLog } from "../../protocol/log.ts";
import { randomOf } from "../../protocol/random.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { eventually, within } from "../../testing/waiting.ts";
import { type BridgeOptions, PeerBridge } from "./bridge.ts";
import { startGuest, startHost, type WorldGuest, type WorldHost } from "./fixtures/peer_world.ts";
import { GuestDoors } from "./guest_doors.ts";
import type { PeerGuest } from "./peer_connection.ts";

const clock = clockOf(globalThis);
const random = randomOf(crypto);

function bridgeTo(host: WorldHost, { network }: WorldGuest, options: Partial<BridgeOptions> = {}): PeerBridge {
  return new PeerBridge({ network, card: host.card(), clock, random, log: silentLog, ...options });
}

/** Doors behind which a server says whom it serves. */
function sayingDoors(opened: string[] = [], closed: string[] = []): GuestDoors {
  return new GuestDoors({
    clock,
    log: silentLog,
    open(guest: PeerGuest) {
      opened.push(guest.scope);
      const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
        const body = await request.text();
        return new Response(`${guest.peerId} ${new URL(request.url).pathname} ${body.length}`);
      });
      return {
        port: server.addr.port,
        async [Symbol.asyncDispose]() {
          closed.push(guest.scope);
          await server.shutdown();
        },
      };
    },
  });
}

function startDoorHost(doors: GuestDoors): WorldHost {
  const { onGuest, onLeave, onStream } = doors;
  return startHost({ onGuest, onLeave, onStream });
}

Deno.test("a browser's requests to a bridge are answered by the other peer's own door for us", async () => {
  const [opened, closed]: [string[], string[]] = [[], []];
  await using doors = sayingDoors(opened, closed);
  await using host = startDoorHost(doors);
  const guest = startGuest();
  {
    await using bridge = bridgeTo(host, guest);
    const client = Deno.createHttpClient({ poolMaxIdlePerHost: 0 });
    for (const body of ["", "x".repeat(300_000)]) {
      const response = await fetch(`${bridge.url}a/b`, { method: "POST", body, client });
      assertEquals(await response.text(), `${guest.identity.peerId} /a/b ${body.length}`);
    }
    client.close();
    assertEquals([opened, closed], [[""], []]);
  }
  await guest[Symbol.asyncDispose]();
  await eventually("the door is closed", () => closed.length === 1);
});

Deno.test("each bridge has a host of its own, so that a browser gives no page another's cookies", {
  ignore: Deno.build.os !== "linux", // the others have one loopback address
}, async () => {
  await using host = startHost();
  await using guest = startGuest();
  await using one = bridgeTo(host, guest);
  await using other = bridgeTo(host, guest);
  const hosts = new Set(["127.0.0.1", one.address.hostname, other.address.hostname]);
  assertEquals(hosts.size, 3);
  for (const { url } of [one, other]) assertEquals(bridgeSchema.parse({ url, way: "direct" }).url, url);
});

Deno.test("a bridge to a peer that is gone says so to whoever asks", async () => {
  await using doors = sayingDoors();
  const gone = startDoorHost(doors);
  await using guest = startGuest();
  await using bridge = bridgeTo(gone, guest);
  await gone[Symbol.asyncDispose]();
  const response = await fetch(bridge.url);
  assertEquals([response.status, response.headers.get("x-content-type-options")], [502, "nosniff"]);
  assertMatch(await response.text(), /No way leads to the peer/);
});

Deno.test("a bridge that is closed waits for nobody who is being told why there is no way", async () => {
  const fake = new FakeClock(Date.now());
  const gone = startHost();
  await using guest = startGuest();
  const bridge = bridgeTo(gone, guest, { clock: fake });
  await gone[Symbol.asyncDispose]();
  using conn = await Deno.connect(bridge.address);
  await conn.read(new Uint8Array(16));
  await within("its end", bridge[Symbol.asyncDispose]());
});

Deno.test("a bridge that nobody uses ends when it was told to", async () => {
  const fake = new FakeClock(Date.now());
  await using host = startHost();
  await using guest = startGuest();
  await using bridge = bridgeTo(host, guest, { clock: fake, idleTimeoutMs: 60_000 });
  const conn = await Deno.connect(bridge.address);
  await conn.read(new Uint8Array(16));
  await fake.advanceAsync(120_000);
  const other = await Deno.connect(bridge.address);
  conn.close();
  other.close();
  await within(
    "its end",
    (async () => {
      let hasEnded = false;
      bridge.ended.then(() => hasEnded = true);
      await eventually("it has ended", async () => {
        await fake.advanceAsync(10_000);
        return hasEnded;
      });
    })(),
  );
});

Deno.test("a bridge that is closed cuts what it carries", async () => {
  await using host = startHost();
  await using guest = startGuest();
  const bridge = bridgeTo(host, guest);
  using conn = await Deno.connect(bridge.address);
  await conn.read(new Uint8Array(16));
  await bridge[Symbol.asyncDispose]();
  await within("its end", conn.read(new Uint8Array(16)).catch(() => null));
});

Deno.test("a guest for whom no door opens is told that there is none", async () => {
  await using doors = new GuestDoors({ clock, log: silentLog, open: () => Promise.reject(new Error("no door")) });
  await using host = startDoorHost(doors);
  await using guest = startGuest();
  await using bridge = bridgeTo(host, guest);
  const response = await fetch(bridge.url);
  assertEquals(response.status, 503);
  await response.body?.cancel();
});

Deno.test("a peer that trackers see elsewhere by now is found there, by the same card", async () => {
  await using doors = sayingDoors();
  await using host = startDoorHost(doors);
  await using guest = startGuest();
  const card = host.card({ addresses: [host.address!.replace("127.0.0.1", "0.0.0.0")] });
  const renew = () => Promise.resolve({ card, observedAddress: "127.0.0.1" });
  await using bridge = bridgeTo(host, guest, { card, renew });
  const response = await fetch(`${bridge.url}a`, { headers: { connection: "close" } });
  assertEquals([response.status, await response.text()], [200, `${guest.identity.peerId} /a 0`]);
});

Deno.test("a peer that has moved is found again by its newer card", async () => {
  await using doors = sayingDoors();
  await using host = startDoorHost(doors);
  await using guest = startGuest();
  const gone = host.card({ addresses: [] });
  let asked = 0;
  const renew = () => {
    asked++;
    return Promise.resolve({ card: host.card({ issuedAtMs: gone.issuedAtMs + 1 }) });
  };
  await using bridge = bridgeTo(host, guest, { card: gone, renew });
  for (let turn = 0; turn < 2; turn++) {
    const response = await fetch(`${bridge.url}a`, { headers: { connection: "close" } });
    assertEquals([response.status, await response.text()], [200, `${guest.identity.peerId} /a 0`]);
  }
  assertEquals(asked, 1, "from then on it is known");
});

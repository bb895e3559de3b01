import { assert, assertEquals, assertLess, assertLessOrEqual, assertRejects, assertStringIncludes } from "@std/assert";
import { DialError } from "../../protocol/errors.ts";
import type { Labels, Metrics } from "../../protocol/metrics.ts";
import { CulvertRig, echoes, echoesOn, FIRST_PORT, SERVER_HOST } from "./fixtures/culvert_rig.ts";

const text = (words: string) => new TextEncoder().encode(words);

Deno.test("a stream goes through a session and comes back, both ends end their halves, dials fail truthfully", async () => {
  await using rig = await CulvertRig.open();
  const path = rig.connect();
  await rig.run((async () => {
    await echoes(path, rig.random.fill(new Uint8Array(300_000)));
    using stream = await path.dial({ host: "echo", port: 7 });
    await stream.write(text("the last of it"));
    await stream.closeWrite();
    const back = new Uint8Array(100);
    assertEquals(await stream.read(back), 14);
    assertEquals(await stream.read(back), null);
    for (const code of ["refused", "unresolved", "denied", "timeout"] as const) {
      const error = await assertRejects(() => path.dial({ host: `${code}.fails`, port: 1 }), DialError);
      assertEquals(error.code, code);
    }
    using datagrams = await path.datagrams();
    await datagrams.send(text("one"), { host: "far", port: 53 });
    await datagrams.send(text("another"), { host: "far", port: 54 });
    const into = new Uint8Array(100);
    assertEquals(await datagrams.receive(into), { length: 3, from: { host: "far", port: 53 } });
    assertEquals(await datagrams.receive(into), { length: 7, from: { host: "far", port: 54 } });
  })());
  const { sessions, hellos } = rig.server.status;
  assertEquals(hellos, { welcome: 1 });
  assertEquals(sessions.length, 1);
  assertEquals(sessions[0]!.client, "one");
  assertLess(20, sessions[0]!.rttMs + 1);
  assert(sessions[0]!.rxBytes > 300_000 && sessions[0]!.txBytes > 300_000);
});

Deno.test("many clients are served at once, and lossy ways lose nothing", async () => {
  await using rig = await CulvertRig.open({ lossShare: 0.05, jitterMs: 5 });
  const work = Array.from({ length: 20 }, () => echoes(rig.connect(), rig.random.fill(new Uint8Array(50_000))));
  await rig.run(Promise.all(work));
  assertEquals(rig.server.sessionCount, 20);
});

Deno.test("a wrong secret and a wrong server key are told within 5 s, each as what it is", async () => {
  await using rig = await CulvertRig.open();
  const secret = rig.random.fill(new Uint8Array(32));
  const wrongSecret = rig.connect({ credential: { ...rig.credential, secret } });
  const failed = async (work: Promise<unknown>) => await assertRejects(() => work, DialError);
  const beganMs = rig.clock.now();
  const told = await rig.run(failed(wrongSecret.dial({ host: "echo", port: 7 })));
  assertEquals(told.code, "unauthorized");
  assertStringIncludes(told.message, "does not know the secret");
  assertLess(rig.clock.now() - beganMs, 1000);

  const wrongKey = rig.connect({ credential: { ...rig.credential, serverPublicKey: secret } });
  const beforeMs = rig.clock.now();
  const silence = await rig.run(failed(wrongKey.dial({ host: "echo", port: 7 })));
  assertEquals(silence.code, "path_down");
  assertStringIncludes(silence.message, "public key");
  assertLessOrEqual(rig.clock.now() - beforeMs, 5000);
});

Deno.test("a client whose clock is wrong is told, and goes on by the server's", async () => {
  await using rig = await CulvertRig.open();
  const { clock } = rig;
  await clock.advanceAsync(600_000);
  const wrong = {
    now: () => clock.now(),
    wallNow: () => clock.wallNow() - 300_000,
    after: (delayMs: number, callback: () => void) => clock.after(delayMs, callback),
  };
  const path = rig.connect({ clock: wrong });
  await rig.run(echoes(path, text("hello")));
  assertLess(Math.abs(path.status.clockBehindMs - 300_000), 100);
  assertEquals(rig.server.status.hellos, { clock: 1, welcome: 1 });
});

Deno.test("a client behind a NAT that has changed its mind goes on at once", async () => {
  await using rig = await CulvertRig.open();
  const path = rig.connect();
  const stream = await rig.run(path.dial({ host: "echo", port: 7 }));
  await rig.run(echoesOn(stream, text("before")));
  rig.opened.at(-1)!.move("10.99.0.1", 4711);
  assertLessOrEqual(await rig.took(echoesOn(stream, text("after"))), 1000);
  assertEquals(rig.server.sessionCount, 1);
  assertEquals(rig.server.status.sessions[0]!.place, "10.99.0.1:4711");
  stream.close();
});

Deno.test("when nothing gets through to a port any more the session goes on by others, its streams with it", async () => {
  await using rig = await CulvertRig.open({ ports: 4 });
  const path = rig.connect();
  const stream = await rig.run(path.dial({ host: "echo", port: 7 }));
  await rig.run(echoesOn(stream, text("before")));
  const [blockedHere, blockedThere] = [rig.opened.at(-1)!.at.port, rig.server.status.sessions[0]!];
  assertEquals(blockedThere.place, `${rig.opened.at(-1)!.at.host}:${blockedHere}`);
  // Whatever comes from or goes to the port that the client used is lost from now on.
  rig.network.fate.drops = (_packet, from, to) => from.port === blockedHere || to.port === blockedHere;
  assertLessOrEqual(await rig.took(echoesOn(stream, text("after"))), 5000);
  assertEquals(rig.server.sessionCount, 1);
  stream.close();
});

Deno.test("ports change while a transfer runs, and nothing is lost", async () => {
  await using rig = await CulvertRig.open({ ports: 8 });
  const settings = { ...rig.settings, window: 128 };
  const path = rig.connect({ hopMs: 60, settings });
  const seen = new Set<number>();
  rig.network.fate.drops = (_packet, _from, to) => (seen.add(to.port), false);
  await rig.run(echoes(path, rig.random.fill(new Uint8Array(6_000_000))));
  const serverPorts = [...seen].filter((port) => port >= FIRST_PORT);
  assertLess(3, serverPorts.length);
  assertLess(3, seen.size - serverPorts.length);
  assertEquals(path.status.links[0]!.resentSegments, 0);
  assertEquals(rig.server.sessionCount, 1);
});

Deno.test("a server that was killed and runs again is found again within 5 s", async () => {
  await using rig = await CulvertRig.open();
  const path = rig.connect();
  await rig.run(echoes(path, text("before")));
  await rig.clock.advanceAsync(30_000);
  await rig.killServer();
  rig.startServer();
  // Streams of the server that was are lost; whoever dials again finds the new one.
  const again = async () => {
    for (;;) {
      try {
        return await echoes(path, text("after"));
      } catch {
        continue;
      }
    }
  };
  assertLessOrEqual(await rig.took(again()), 5000);
  assertEquals(rig.server.sessionCount, 1);
});

Deno.test("after an hour asleep a client is back within 5 s, whether or not its clock went on", async () => {
  for (const goesOn of [true, false]) {
    await using rig = await CulvertRig.open();
    let asleepMs = 0;
    const clock = {
      now: () => rig.clock.now() - (goesOn ? 0 : asleepMs),
      wallNow: () => rig.clock.wallNow(),
      after: (delayMs: number, callback: () => void) => rig.clock.after(delayMs, () => whenAwake(callback)),
    };
    let isAsleep = false;
    const due: (() => void)[] = [];
    const whenAwake = (callback: () => void) => isAsleep ? void due.push(callback) : callback();
    const path = rig.connect({ clock });
    await rig.run(echoes(path, text("before")));
    isAsleep = true;
    rig.network.fate.drops = (_packet, from, to) => isAsleep && (from.host !== SERVER_HOST || to.host !== SERVER_HOST);
    await rig.clock.advanceAsync(3_600_000);
    assertEquals(rig.server.sessionCount, 0);
    asleepMs = 3_600_000;
    isAsleep = false;
    for (const callback of due.splice(0)) callback();
    const again = async () => {
      for (;;) {
        try {
          return await echoes(path, text("after"));
        } catch {
          continue;
        }
      }
    };
    assertLessOrEqual(await rig.took(again()), 5000);
  }
});

Deno.test("keys are renewed while streams go on", async () => {
  await using rig = await CulvertRig.open();
  const path = rig.connect({ renewMs: 1_000 });
  const stream = await rig.run(path.dial({ host: "echo", port: 7 }));
  for (let round = 0; round < 40; round++) {
    await rig.clock.advanceAsync(250);
    await rig.run(echoesOn(stream, text(`round ${round}`)));
  }
  assertLess(8, rig.server.status.hellos.welcome!);
  assertEquals(rig.server.sessionCount, 1);
  assertLess(rig.server.heldCount, 20);
  stream.close();
});

Deno.test("a client that is revoked loses its sessions at once and is told why", async () => {
  await using rig = await CulvertRig.open();
  const path = rig.connect();
  const stream = await rig.run(path.dial({ host: "echo", port: 7 }));
  assert(rig.server.clients.revoke("one"));
  assertEquals(rig.server.sessionCount, 0);
  await rig.run(assertRejects(() => stream.read(new Uint8Array(1))));
  const error = await rig.run(assertRejects(() => path.dial({ host: "echo", port: 7 }), DialError));
  assertEquals(error.code, "unauthorized");
  stream.close();
});

Deno.test("a server that is full says so; one that drains takes nothing new and lets streams end", async () => {
  await using rig = await CulvertRig.open({ server: { sessions: { maxSessions: 1 } } });
  const path = rig.connect();
  const stream = await rig.run(path.dial({ host: "echo", port: 7 }));
  const late = rig.connect();
  const error = await rig.run(assertRejects(() => late.dial({ host: "echo", port: 7 }), DialError));
  assertEquals(error.code, "busy");
  const over = rig.server.shutdown(new AbortController().signal);
  await rig.run(echoesOn(stream, text("still")));
  await rig.run(assertRejects(() => path.dial({ host: "echo", port: 7 }), DialError));
  stream.close();
  await rig.run(over);
  assertEquals(rig.server.sessionCount, 0);
});

Deno.test("dials, hellos and segments are counted, by client", async () => {
  const counted = new Map<string, number>();
  const record = (name: string) => ({
    add: (amount = 1, labels: Labels = {}) => {
      const key = [name, ...Object.values(labels)].join(" ");
      counted.set(key, (counted.get(key) ?? 0) + amount);
    },
    set() {},
    remove() {},
    observe: (_value: number, labels: Labels = {}) => record(name).add(1, labels),
  });
  const metrics: Metrics = { counter: record, gauge: record, histogram: record };
  await using rig = await CulvertRig.open({ server: { metrics } });
  const path = rig.connect();
  await rig.run(echoes(path, new Uint8Array(100_000)));
  await rig.run(assertRejects(() => path.dial({ host: "refused.fails", port: 1 }), DialError));
  await rig.clock.advanceAsync(6_000);
  const expected = {
    "kcp_server_hellos_total welcome": 1,
    "kcp_server_dials_total one ok": 1,
    "kcp_server_dials_total one refused": 1,
    "kcp_server_links_active one": 1,
    "kcp_server_rtt_seconds one": 1,
    "kcp_server_segments_total one resent": 0,
  };
  for (const [name, count] of Object.entries(expected)) assertEquals(counted.get(name), count, name);
  assertLess(100_000, counted.get("kcp_server_bytes_total one in")!);
  assertLess(50, counted.get("kcp_server_segments_total one sent")!);
  path.close();
  await rig.run(path.closed());
  await rig.clock.advanceAsync(6_000);
  assertEquals(counted.get("kcp_server_links_active one"), 0);
});

Deno.test("a credential whose public key is none fails its dials and nothing else", async () => {
  await using rig = await CulvertRig.open();
  const path = rig.connect({ credential: { ...rig.credential, serverPublicKey: new Uint8Array(32) } });
  const error = await rig.run(assertRejects(() => path.dial({ host: "echo", port: 7 }), DialError));
  assertEquals(error.code, "unauthorized");
});

Deno.test("streams outlive a way that is cut for 12 s, and go on within 5 s", async () => {
  await using rig = await CulvertRig.open({ ports: 2, bytesPerMs: 2_500, server: { settings: {} } });
  const path = rig.connect({ settings: {} });
  const stream = await rig.run(path.dial({ host: "echo", port: 7 }));
  await rig.run(echoesOn(stream, text("before")));
  rig.network.fate.drops = () => true;
  const echo = echoesOn(stream, rig.random.fill(new Uint8Array(50_000)));
  await rig.clock.advanceAsync(12_000);
  rig.network.fate.drops = () => false;
  assertLessOrEqual(await rig.took(echo), 5000);
  assertEquals(rig.server.sessionCount, 1);
  stream.close();
});

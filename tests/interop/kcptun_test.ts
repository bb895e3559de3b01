/**
 * Our kcptun dialect against Debian's kcptun, each once as either end: every crypt that both speak, with and without
 * forward error correction and compression, over both versions of smux, on a good line and a bad one.
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
import type { KcptunSettings } from "../../protocol/packet_layer/kcptun_settings.ts";
import { DialError } from "../../protocol/errors.ts";
import { readFull, type Stream, type Target, writeAll } from "../../protocol/stream.ts";
import { PacketShaper } from "../../testing/packet_shaper.ts";
import { testWith } from "../../testing/requirements.ts";
import { eventually, within } from "../../testing/waiting.ts";
import {
  debianClient,
  debianServer,
  echo,
  type FarEnd,
  type NearEnd,
  ourClient,
  ourServer,
  TcpTarget,
} from "./fixtures/kcptun.ts";

const needs = { tools: ["kcptun-client", "kcptun-server"] };

interface Role {
  readonly name: string;
  serve(target: Target, settings: Partial<KcptunSettings>): FarEnd | Promise<FarEnd>;
  connect(server: Target, settings: Partial<KcptunSettings>): NearEnd | Promise<NearEnd>;
}

const roles: readonly Role[] = [
  { name: "our client, Debian's server", serve: debianServer, connect: ourClient },
  { name: "Debian's client, our server", serve: ourServer, connect: debianClient },
];

const fec = [{ datashard: 10, parityshard: 3 }, { datashard: 0, parityshard: 0 }];
const none = { datashard: 0, parityshard: 0 };
/** Not the defaults. */
const few = { datashard: 3, parityshard: 1 };
const variants = fec.flatMap((shards) =>
  [true, false].flatMap((nocomp) => ([1, 2] as const).map((smuxver) => ({ ...shards, nocomp, smuxver })))
);

/** Half of it repeats itself, so that there is something to compress. */
function payload(bytes: number): Uint8Array<ArrayBuffer> {
  const made = new Uint8Array(bytes);
  for (let at = 0; at < bytes; at += 8192) crypto.getRandomValues(made.subarray(at, at + 4096));
  return made;
}

/** Says it, and hears it back. */
async function exchange(stream: Stream, bytes: number): Promise<void> {
  const sent = payload(bytes);
  const heard = new Uint8Array(bytes);
  const [isWhole] = await Promise.all([readFull(stream, heard), writeAll(stream, sent)]);
  assert(isWhole, "the stream ended early");
  assert(sent.every((byte, at) => byte === heard[at]), "what came back is something else");
}

interface Rig {
  readonly role: Role;
  readonly settings: Partial<KcptunSettings>;
  /** How the line loses; none: no line between them. */
  readonly loss?: number;
}

async function withRig({ role, settings, loss }: Rig, use: (near: NearEnd) => Promise<void>): Promise<void> {
  await using target = new TcpTarget(echo);
  await using far = await role.serve(target.address, settings);
  await using line = loss === undefined
    ? undefined
    : PacketShaper.start({ to: far.address, up: { loss, latencyMs: 5 } });
  await using near = await role.connect(line?.address ?? far.address, settings);
  await use(near);
}

for (const role of roles) {
  for (const crypt of ["aes", "aes-128", "aes-192", "xor", "none", "salsa20"] as const) {
    testWith(needs, `kcptun, ${role.name}, ${crypt}: bytes pass both ways in every variant`, async () => {
      const runs = variants.map(async (variant) => {
        const settings = { crypt, mode: "fast3", ...variant } as const;
        await within(
          JSON.stringify(settings),
          withRig({ role, settings }, async (near) => {
            const streams = await Promise.all([near.open(), near.open()]);
            await Promise.all(streams.map((stream, index) => exchange(stream, index === 0 ? 400_000 : 1)));
            for (const stream of streams) stream.close();
          }),
        );
      });
      await Promise.all(runs);
    });
  }

  testWith(needs, `kcptun, ${role.name}: bytes pass through a line that loses every tenth datagram`, async () => {
    const runs = ([["aes", 1], ["none", 2]] as const).flatMap(([crypt, smuxver]) =>
      fec.map(async (shards) => {
        const settings = { crypt, mode: "fast3", smuxver, nocomp: false, ...shards } as const;
        await within(
          JSON.stringify(settings),
          withRig({ role, settings, loss: 0.1 }, async (near) => {
            using stream = await near.open();
            await exchange(stream, 300_000);
          }),
        );
      })
    );
    await Promise.all(runs);
  });

  testWith(needs, `kcptun, ${role.name}: parity that only Debian's end sends is made use of`, async () => {
    // The other way round two of Debian's own ends break the stream: theirs takes what is no group for one.
    const settings = { crypt: "aes", mode: "fast3", nocomp: true } as const;
    const serving = role.serve === debianServer ? few : none;
    const connecting = role.serve === debianServer ? none : few;
    const mixed: Role = {
      name: "mixed",
      serve: (target, given) => role.serve(target, { ...given, ...serving }),
      connect: (server, given) => role.connect(server, { ...given, ...connecting }),
    };
    await withRig({ role: mixed, settings, loss: 0.05 }, async (near) => {
      using stream = await near.open();
      await exchange(stream, 300_000);
    });
  });

  testWith(needs, `kcptun, ${role.name}: all that the target said arrives before its end does`, async () => {
    const said = payload(500_000);
    await using target = new TcpTarget((conn) => writeAll(conn, said));
    const settings = { crypt: "none", mode: "fast3" } as const;
    await using far = await role.serve(target.address, settings);
    await using near = await role.connect(far.address, settings);
    using stream = await near.open();
    const heard = new Uint8Array(said.length);
    assert(await within("what it says", readFull(stream, heard)));
    assert(said.every((byte, at) => byte === heard[at]));
    assertEquals(await within("its end", stream.read(new Uint8Array(1))), null);
  });
}

testWith(needs, "kcptun, Debian's server: who has said all still hears the answer", async () => {
  const settings = { crypt: "none", mode: "fast3" } as const;
  await withRig({ role: roles[0]!, settings }, async (near) => {
    using stream = await near.open();
    const sent = payload(100_000);
    await writeAll(stream, sent);
    await stream.closeWrite();
    const heard = new Uint8Array(sent.length);
    assert(await within("the answer", readFull(stream, heard)));
    assertEquals(heard, sent);
  });
});

testWith(needs, "kcptun, Debian's server: a key that is another is told as silence, in time", async () => {
  await using target = new TcpTarget(echo);
  await using far = debianServer(target.address, { crypt: "aes" });
  await using near = ourClient(far.address, { crypt: "aes", key: "another phrase", answerTimeoutMs: 1000 });
  const error = await assertRejects(() => within("the dial", near.open()), DialError, "Nothing genuine has come from");
  assertEquals(error.code, "path_down");
});

testWith(needs, "kcptun, Debian's server: one that was restarted is found again within five seconds", async () => {
  await using target = new TcpTarget(echo);
  const settings = { crypt: "aes", mode: "fast3" } as const;
  const first = debianServer(target.address, settings);
  const { address } = first;
  await using near = ourClient(address, settings);
  using before = await near.open();
  await exchange(before, 1000);
  await first[Symbol.asyncDispose]();
  await using _second = debianServer(target.address, settings, address.port);
  // As a program would: a stream on which nothing comes is given up, and another opened.
  await eventually("an exchange", async () => {
    using after = await near.open();
    return await within("it", exchange(after, 1000), { limitMs: 1000 }).then(() => true, () => false);
  }, { limitMs: 5000 });
});

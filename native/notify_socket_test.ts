import { assert, assertEquals, assertThrows } from "@std/assert";
import { clockOf } from "../protocol/clock.ts";
import { CulvertError } from "../protocol/errors.ts";
import { MAX_NOTICE_BYTES } from "../protocol/manager/notify_text.ts";
import { FakeClock } from "../testing/fake_clock.ts";
import { testWith } from "../testing/requirements.ts";
import { TempDirectory } from "../testing/temp_directory.ts";
import { Changes, within } from "../testing/waiting.ts";
import { openLibc } from "./libc.ts";
import { NotifySender } from "./notify_sender.ts";
import { type NotifyDatagram, NotifySockets } from "./notify_socket.ts";

/** What comes at a socket. */
class Heard {
  readonly datagrams: NotifyDatagram[] = [];
  readonly #changes = new Changes();

  readonly onMessage = (datagram: NotifyDatagram): void => {
    this.datagrams.push(datagram);
    this.#changes.tell();
  };

  get texts(): string[] {
    return this.datagrams.map(({ text }) => text);
  }

  async count(count: number): Promise<void> {
    const holds = () => this.datagrams.length >= count;
    await this.#changes.until(holds, `${count} datagrams`, () => JSON.stringify(this.texts));
  }
}

Deno.test("each socket hears its own service, and who it is", async () => {
  using folder = new TempDirectory();
  using libc = openLibc();
  await using sockets = new NotifySockets(libc, clockOf(globalThis));
  using services = new DisposableStack();
  const heard = Array.from({ length: 50 }, (_, at) => {
    const own = new Heard();
    services.use(sockets.open(folder.path(`${at}`), own.onMessage));
    using sender = new NotifySender(folder.path(`${at}`));
    assert(sender.send(`READY=1\nSTATUS=${at}`));
    return own;
  });
  for (const [at, own] of heard.entries()) {
    await own.count(1);
    assertEquals(own.datagrams, [{ text: `READY=1\nSTATUS=${at}`, pid: Deno.pid, uid: Deno.uid()! }]);
  }
});

testWith(
  { tools: ["systemd-notify"] },
  "systemd-notify is heard, and does not wait for ever for its barrier",
  async () => {
    using folder = new TempDirectory();
    using libc = openLibc();
    await using sockets = new NotifySockets(libc, clockOf(globalThis));
    const heard = new Heard();
    using _socket = sockets.open(folder.path("socket"), heard.onMessage);
    const command = new Deno.Command("systemd-notify", {
      args: ["--ready", "--status=there"],
      env: { NOTIFY_SOCKET: folder.path("socket") },
    });
    assertEquals((await within("systemd-notify", command.output())).code, 0);
    await heard.count(1);
    assertEquals(heard.texts[0]!.split("\n").toSorted(), ["READY=1", "STATUS=there"]);
  },
);

Deno.test("what is too long is dropped, and what comes next is heard", async () => {
  using folder = new TempDirectory();
  using libc = openLibc();
  await using sockets = new NotifySockets(libc, clockOf(globalThis));
  const heard = new Heard();
  using _socket = sockets.open(folder.path("socket"), heard.onMessage);
  using sender = new NotifySender(folder.path("socket"));
  sender.send("x".repeat(MAX_NOTICE_BYTES + 1));
  sender.send("READY=1");
  await heard.count(1);
  assertEquals(heard.texts, ["READY=1"]);
});

Deno.test("one that says much rests, and the others are heard meanwhile", async () => {
  using folder = new TempDirectory();
  using libc = openLibc();
  const clock = new FakeClock();
  await using sockets = new NotifySockets(libc, clock);
  const [loud, quiet] = [new Heard(), new Heard()];
  using _loud = sockets.open(folder.path("loud"), loud.onMessage);
  using _quiet = sockets.open(folder.path("quiet"), quiet.onMessage);
  using loudSender = new NotifySender(folder.path("loud"));
  using quietSender = new NotifySender(folder.path("quiet"));
  // While this thread does not look, the queue takes a few and refuses the next.
  const fill = () => {
    let taken = 0;
    while (taken < 10_000 && loudSender.send("WATCHDOG=1")) taken++;
    return taken;
  };
  const taken = fill();
  assert(taken >= 10 && taken < 10_000, "the queue has a bound");
  await loud.count(8);
  fill();
  quietSender.send("READY=1");
  await quiet.count(1);
  assertEquals([loud.datagrams.length, fill()], [8, 0]);
  clock.advance(100);
  await loud.count(16);
});

Deno.test("one that listens again hears the same sender; nobody there is told to it", async () => {
  using folder = new TempDirectory();
  using libc = openLibc();
  using sender = new NotifySender(folder.path("socket"));
  assert(!sender.send("READY=1"));
  for (let turn = 0; turn < 2; turn++) {
    await using sockets = new NotifySockets(libc, clockOf(globalThis));
    const heard = new Heard();
    using _socket = sockets.open(folder.path("socket"), heard.onMessage);
    assert(sender.send("WATCHDOG=1"));
    await heard.count(1);
  }
  assert(!sender.send("WATCHDOG=1"));
});

Deno.test("a socket that a killed manager left is replaced, others may send to the new one", async () => {
  using folder = new TempDirectory();
  using libc = openLibc();
  await using sockets = new NotifySockets(libc, clockOf(globalThis));
  Deno.writeTextFileSync(folder.path("socket"), "");
  using _socket = sockets.open(folder.path("socket"), () => {});
  const { isSocket, mode } = Deno.statSync(folder.path("socket"));
  assertEquals([isSocket, mode! & 0o777], [true, 0o666]);
  for (const path of ["relative", `/${"x".repeat(200)}`, "vsock:2:1"]) {
    assertThrows(() => new NotifySender(path), CulvertError, "Cannot use a Unix socket");
  }
});

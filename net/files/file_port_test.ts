import { assert, assertEquals } from "@std/assert";
import { formatHttpDate } from "../../protocol/files/http_date.ts";
import { readFull, writeAll } from "../../protocol/stream.ts";
import { eventually } from "../../testing/waiting.ts";
import { type Door, openDoor } from "./doors.ts";
import { FilePort } from "./file_port.ts";
import { GUEST, numbered, SharedFolder } from "./fixtures/shared_folder.ts";

/** One connection on which one thing after the other is asked. */
class Caller implements Disposable {
  readonly #conn: Deno.TcpConn;

  private constructor(conn: Deno.TcpConn) {
    this.#conn = conn;
  }

  static async call({ port }: Pick<Door, "port">): Promise<Caller> {
    return new Caller(await Deno.connect({ hostname: "127.0.0.1", port }));
  }

  async say(...heads: readonly string[]): Promise<void> {
    const text = heads.map((head) => `${head}\r\nHost: localhost\r\n\r\n`).join("");
    await writeAll(this.#conn, new TextEncoder().encode(text));
  }

  async hear(): Promise<{ readonly head: string; readonly body: Uint8Array }> {
    let head = "";
    const byte = new Uint8Array(1);
    while (!head.endsWith("\r\n\r\n")) {
      assert(await readFull(this.#conn, byte), head);
      head += String.fromCharCode(byte[0]!);
    }
    const body = new Uint8Array(Number(/^content-length: (\d+)/im.exec(head)?.[1] ?? 0));
    assert(await readFull(this.#conn, body));
    return { head, body };
  }

  async hearEnd(): Promise<boolean> {
    return await this.#conn.read(new Uint8Array(1)) === null;
  }

  async ask(head: string): Promise<string> {
    await this.say(head);
    return new TextDecoder().decode((await this.hear()).body);
  }

  [Symbol.dispose](): void {
    this.#conn.close();
  }
}

Deno.test("a file port: files, then something else, then files again, on one connection", async () => {
  const large = numbered(1_000_000);
  await using shared = new SharedFolder({ "a.txt": "a", "large.bin": large });
  await using door = openDoor(shared.server);
  using caller = await Caller.call(door);
  for (let turn = 0; turn < 3; turn++) assertEquals(await caller.ask("GET /content/a.txt HTTP/1.1"), "a");
  await caller.say("GET /download/large.bin HTTP/1.1\r\nRange: bytes=5-900004");
  assertEquals((await caller.hear()).body, large.subarray(5, 900_005));
  assertEquals(JSON.parse(await caller.ask("GET /api/self HTTP/1.1")).label, "Ann");
  assertEquals(await caller.ask("GET /content/a.txt HTTP/1.1"), "a");
});

Deno.test("a file port: what is asked at once is answered one after the other", async () => {
  const large = numbered(600_000);
  await using shared = new SharedFolder({ "a.txt": "a", "large.bin": large });
  await using door = openDoor(shared.server);
  using caller = await Caller.call(door);
  await caller.say(
    "GET /content/a.txt HTTP/1.1",
    "GET /content/large.bin HTTP/1.1",
    "GET /api/files HTTP/1.1",
    "GET /content/a.txt HTTP/1.1\r\nConnection: close",
  );
  assertEquals((await caller.hear()).body.length, 1);
  assertEquals((await caller.hear()).body, large);
  assertEquals(JSON.parse(new TextDecoder().decode((await caller.hear()).body)).total, 2);
  assertEquals((await caller.hear()).body.length, 1);
  assert(await caller.hearEnd());
});

Deno.test("a file port: a connection that is to end ends, with the file whole", async () => {
  await using shared = new SharedFolder({ "a.txt": "some words" });
  await using door = openDoor(shared.server);
  for (let turn = 0; turn < 2; turn++) {
    using caller = await Caller.call(door);
    await caller.say("GET /content/a.txt HTTP/1.1\r\nConnection: close");
    const { head, body } = await caller.hear();
    assertEquals([new TextDecoder().decode(body), /^connection: close\r$/im.test(head)], ["some words", true]);
    assert(await caller.hearEnd());
  }
});

Deno.test("a file port: a small file that is asked for again is the file as it is then", async () => {
  await using shared = new SharedFolder({ "a.txt": "old" });
  await using door = openDoor(shared.server);
  using caller = await Caller.call(door);
  const ask = () => caller.ask("GET /content/a.txt HTTP/1.1");
  assertEquals([await ask(), await ask()], ["old", "old"]);
  shared.write("a.txt", "new");
  // The folder's clock says that the file had been left alone for a minute: the times must differ as they then would.
  const aMinuteLater = new Date(Date.now() + 60_000);
  Deno.utimeSync(shared.path("a.txt"), aMinuteLater, aMinuteLater);
  assertEquals(await ask(), "new");
  Deno.writeTextFileSync(shared.outside("secret.txt"), "secret");
  Deno.removeSync(shared.path("a.txt"));
  Deno.symlinkSync(shared.outside("secret.txt"), shared.path("a.txt"));
  const answer = await ask();
  assert(!answer.includes("secret") && answer.includes("not_found"), answer);
});

Deno.test("a file port: what is kept of a file is neither its page nor a folder", async () => {
  await using shared = new SharedFolder({ "a.txt": "a", "page.md": "# Hello\n" });
  await using door = openDoor(shared.server);
  using caller = await Caller.call(door);
  const page = "GET /content/page.md HTTP/1.1\r\nAccept: text/html";
  for (let turn = 0; turn < 2; turn++) {
    assertEquals(await caller.ask("GET /download/page.md?inline HTTP/1.1"), "# Hello\n");
    assert((await caller.ask(page)).includes('<h1 id="hello">'));
    assertEquals(await caller.ask("GET /content/a.txt HTTP/1.1"), "a");
    assert((await caller.ask("GET /content/a.txt/ HTTP/1.1")).includes("not_found"));
  }
});

Deno.test("a file port: every answer says when it was made", async () => {
  await using shared = new SharedFolder({ "a.txt": "a", "large.bin": numbered(100_000) });
  await using door = openDoor(shared.server);
  using caller = await Caller.call(door);
  for (const path of ["a.txt", "a.txt", "large.bin", "none"]) {
    await caller.say(`GET /content/${path} HTTP/1.1`);
    const { head } = await caller.hear();
    const date = /^date: (.*)\r$/im.exec(head)?.[1];
    assertEquals(date, formatHttpDate(shared.clock.wallNow()), path);
  }
});

Deno.test("a file port: what is kept for one guest is not another's, and is counted each time", async () => {
  const sent: string[] = [];
  await using shared = new SharedFolder({ "ours/a.txt": "a", "theirs/b.txt": "b" }, {
    onSent: ({ path, bytes }) => sent.push(`${path} ${bytes}`),
  });
  await using own = openDoor(shared.server);
  await using theirs = openDoor(shared.server, { guest: { ...GUEST, scope: "theirs" } });
  using owner = await Caller.call(own);
  using guest = await Caller.call(theirs);
  assertEquals(await owner.ask("GET /content/ours/a.txt HTTP/1.1"), "a");
  assert((await guest.ask("GET /content/ours/a.txt HTTP/1.1")).includes("not_found"));
  for (let turn = 0; turn < 2; turn++) assertEquals(await guest.ask("GET /content/theirs/b.txt HTTP/1.1"), "b");
  assertEquals(sent, ["theirs/b.txt 1", "theirs/b.txt 1"]);
});

Deno.test("a file port: full of idle connections it takes the next when one has gone, and closes all the same", async () => {
  await using shared = new SharedFolder({ "a.txt": "a" });
  await using port = new FilePort({ server: shared.server, port: 0, maxConnections: 2 });
  using third = await (async () => {
    using first = await Caller.call(port);
    using second = await Caller.call(port);
    for (const caller of [first, second]) assert((await caller.ask("GET /api/self HTTP/1.1")).includes("Ann"));
    return await Caller.call(port);
  })();
  using fourth = await Caller.call(port);
  for (const caller of [third, fourth]) assert((await caller.ask("GET /api/self HTTP/1.1")).includes("Ann"));
  await port[Symbol.asyncDispose]();
  assert(await third.hearEnd() && await fourth.hearEnd());
});

Deno.test("a file port: who goes away in the middle of a file leaves nothing behind", async () => {
  await using shared = new SharedFolder({ "large.bin": new Uint8Array(64 * 1024 * 1024) });
  await using door = openDoor(shared.server);
  {
    using caller = await Caller.call(door);
    await caller.say("GET /content/large.bin HTTP/1.1");
    await eventually("it is being sent", () => shared.server.sending === 1);
  }
  await eventually("nothing is being sent", () => shared.server.sending === 0);
});

import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import type { z } from "zod";
import { CulvertError } from "../../protocol/errors.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { eventually } from "../../testing/waiting.ts";
import { role as peerRole } from "../peer.ts";
import { type Role, type RunningRole, startRole } from "../role.ts";
import { getRole } from "./get.ts";
import { invitationsRole, revokeRole } from "./invitation_commands.ts";
import { KnownLiars } from "./known_liars.ts";
import { lsRole } from "./ls.ts";
import { openRole } from "./open.ts";
import { askPeer } from "./peer_control.ts";
import { searchRole } from "./search.ts";
import { shareRole } from "./share.ts";
import { statusRole } from "./status.ts";
import { clockOf } from "../../protocol/clock.ts";

const LONG_AGO = new Date(Date.UTC(2020, 0, 1));

/** Alice, who shares a folder and opens a port for it, and what others say on their command lines. */
class World implements AsyncDisposable {
  readonly temp = new TempDirectory();
  #alice: RunningRole | undefined;

  static async start(settings: Record<string, unknown> = {}): Promise<World> {
    const world = new World();
    world.write("films/film", "a film");
    world.write("films/second", "another film");
    world.write("diary", "not for others");
    const folder = world.temp.path("shared");
    const config = peerRole.config.parse({
      folder,
      label: "alice",
      listen: "127.0.0.1:0",
      relays: false,
      readOnly: true,
      ...settings,
    });
    world.#alice = startRole(peerRole, config, { stateDir: world.stateOf("alice") });
    await world.#alice.ready;
    await eventually("all of it is in the index", async () => (await world.status()).index.pending === 0);
    return world;
  }

  stateOf(name: string): string {
    return this.temp.path(`state-${name}`);
  }

  write(path: string, text: string): void {
    const at = this.temp.path(`shared/${path}`);
    Deno.mkdirSync(at.slice(0, at.lastIndexOf("/")), { recursive: true });
    Deno.writeTextFileSync(at, text);
    Deno.utimeSync(at, LONG_AGO, LONG_AGO);
  }

  status() {
    const signal = new AbortController().signal;
    return askPeer({ clock: clockOf(globalThis), signal, stateDir: this.stateOf("alice") });
  }

  /** What the command prints, a line each. */
  async say<S extends z.ZodObject>(
    who: string,
    role: Role<S>,
    settings: Record<string, unknown>,
    json = false,
  ): Promise<string[]> {
    const lines: string[] = [];
    const config = role.config.parse(settings);
    await startRole(role, config, { stateDir: this.stateOf(who), json, print: (line) => lines.push(line) }).done;
    return lines;
  }

  /** The one thing it prints as JSON. */
  async json<S extends z.ZodObject>(who: string, role: Role<S>, settings: Record<string, unknown>) {
    return JSON.parse((await this.say(who, role, settings, true)).at(-1)!);
  }

  async share(settings: Record<string, unknown> = {}): Promise<{ ticket: string; id: string; root?: string }> {
    return await this.json("alice", shareRole, { qr: false, ...settings });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#alice?.[Symbol.asyncDispose]();
    this.temp[Symbol.dispose]();
  }
}

Deno.test("a ticket is enough to fetch what it is for, and nothing else, until it is revoked", async () => {
  await using world = await World.start();
  const { ticket, id, root } = await world.share({ path: "films" });
  assertEquals(root, undefined);
  const out = world.temp.path("films");
  const done = await world.json("bob", getRole, { who: ticket, out });
  assertEquals([done.event, done.files, done.sources[0].way], ["done", 2, "direct"]);
  assertEquals(await Deno.readTextFile(`${out}/film`), "a film");
  await assertRejects(
    () => world.say("bob", getRole, { who: ticket, path: "diary", out }),
    CulvertError,
    "Cannot read diary",
  );
  // It counts from when he is let in, which does not wait for the disk on which that is written down.
  let listed: string[] = [];
  await eventually("its use is listed", async () => {
    listed = await world.say("alice", invitationsRole, {});
    return listed[1]?.includes("1 of 1") ?? false;
  }, { instead: () => listed.join("\n") });
  // It is one peer's, who may come again by name.
  await assertRejects(() => world.say("eve", lsRole, { who: ticket }), CulvertError);
  assertEquals((await world.json("bob", lsRole, { who: "alice", path: "films" })).total, 2);
  assertEquals(await world.say("alice", revokeRole, { id }), [`${id} is revoked`]);
  await eventually("it is of no use any more", async () => {
    return await world.say("bob", lsRole, { who: ticket }).then(() => false, () => true);
  });
  await assertRejects(() => world.say("alice", revokeRole, { id }), CulvertError, "no such invitation");
});

Deno.test("a fetch that is stopped fails, and says that it can go on", async () => {
  await using world = await World.start();
  const { ticket } = await world.share();
  const stop = new AbortController();
  const lines: string[] = [];
  const fetching = startRole(getRole, getRole.config.parse({ who: ticket, out: world.temp.path("all") }), {
    ...{ stateDir: world.stateOf("bob"), signal: stop.signal, json: true },
    print: (line) => {
      lines.push(line);
      stop.abort(new CulvertError("stopped", "The test says so"));
    },
  });
  const error = await assertRejects(() => fetching.done, CulvertError);
  assertEquals([error.code, lines.length > 0], ["interrupted", true]);
  const done = await world.json("bob", getRole, { who: ticket, out: world.temp.path("all"), from: ["nobody"] });
  assertEquals([done.event, done.files], ["done", 3]);
});

Deno.test("a ticket for one file says what the file must be", async () => {
  await using world = await World.start();
  const { ticket, root } = await world.share({ path: world.temp.path("shared/films/film"), uses: 3 });
  assertMatch(root!, /^[0-9a-f]{64}$/);
  const out = world.temp.path("copy");
  const [start, done] = (await world.say("bob", getRole, { who: ticket, out }, true)).map((line) => JSON.parse(line));
  assertEquals([start.event, start.isVerified, done.root, done.out], ["start", true, root, out]);
  assertEquals((await world.json("bob", getRole, { who: ticket, out })).wasHere, true);
  world.write("films/film", "another one");
  await eventually("the index knows", async () => (await world.status()).index.pending === 0);
  const changed = () => world.say("bob", getRole, { who: ticket, out: world.temp.path("third") });
  await assertRejects(changed, CulvertError);
});

Deno.test("a ticket says how long a file is where its hash leaves that open", async () => {
  await using world = await World.start();
  world.write("pair", "x".repeat(64));
  await eventually("the index knows", async () => {
    const { index } = await world.status();
    return index.files === 4 && index.pending === 0;
  });
  const { ticket } = await world.share({ path: "pair" });
  const done = await world.json("bob", getRole, { who: ticket, out: world.temp.path("copy") });
  assertEquals([done.event, done.size], ["done", 64]);
});

Deno.test("whoever makes a ticket does not choose what is written here", async () => {
  await using world = await World.start({ hidden: true });
  world.write(".profile", "echo gotcha");
  await eventually("the index knows", async () => {
    const { pending, files } = (await world.status()).index;
    return pending === 0 && files === 4;
  });
  const here = world.temp.path("here");
  Deno.mkdirSync(`${here}/films`, { recursive: true });
  const before = Deno.cwd();
  Deno.chdir(here);
  using _back = { [Symbol.dispose]: () => Deno.chdir(before) };
  const { ticket: profile } = await world.share({ path: world.temp.path("shared/.profile"), uses: 2 });
  assertEquals((await world.json("bob", getRole, { who: profile })).out, "_profile");
  const { ticket: films } = await world.share({ path: "films", uses: 3 });
  await assertRejects(() => world.say("bob", getRole, { who: films }), CulvertError, "name a place with --out");
  assertEquals((await world.json("bob", getRole, { who: films, out: "films" })).files, 2);
  assertEquals((await world.json("bob", getRole, { who: films, path: "films" })).wereHere, 2);
});

Deno.test("what cannot be shared is told", async () => {
  await using world = await World.start();
  await assertRejects(() => world.share({ path: "nothing" }), CulvertError, "no such file or folder");
  const upload = await assertRejects(() => world.share({ upload: true }), CulvertError, "run it with --upload");
  assertEquals(upload.code, "bad_option");
  const nobody = () => world.say("bob", shareRole, {});
  await assertRejects(nobody, CulvertError, "there is none");
  const all = await world.say("alice", shareRole, { qr: true });
  assertStringIncludes(all[0]!, "\x1b[");
  assertMatch(all.at(-1)!, /^CULVERT:[A-Z2-7]+$/);
});

Deno.test("files are looked at, looked for and opened", async () => {
  await using world = await World.start({ open: true });
  const { ticket } = await world.share();
  const lines = await world.say("bob", lsRole, { who: ticket });
  assertEquals(lines.map((line) => line.trim().split(/\s+/).at(-1)), ["NAME", "films/", "diary"]);
  const { found } = await world.json("bob", searchRole, { words: ["film"], at: ["alice"] });
  assertEquals(found.map(({ path }: { path: string }) => path).sort(), ["films/film", "films/second"]);
  // Alice has been met, and there is no tracker.
  assertEquals((await world.json("bob", searchRole, { words: ["diary"] })).asked, 1);
  const opened = startRole(openRole, openRole.config.parse({ who: "alice", path: "films/film" }), {
    stateDir: world.stateOf("bob"),
  });
  await using _opened = opened;
  const { addresses } = await opened.ready;
  // A connection that is kept would end some time during the next test.
  using client = Deno.createHttpClient({ poolMaxIdlePerHost: 0 });
  assertEquals(await (await fetch(addresses["url"]!, { client })).text(), "a film");
  const status = await world.say("alice", statusRole, {});
  assert(
    status.some((line) => line.includes("alice")) && status.some((line) => line.includes("direct")),
    status.join("\n"),
  );
});

Deno.test("nothing is fetched from whoever has sent wrong bytes, unless that is forgiven", async () => {
  await using world = await World.start({ open: true });
  const { ticket } = await world.share({ path: "diary" });
  const { card } = await world.status();
  const tools = { clock: clockOf(globalThis), signal: new AbortController().signal, stateDir: world.stateOf("bob") };
  await (await KnownLiars.open(tools)).add(card.peerId, "wrong bytes");
  const out = world.temp.path("diary");
  await assertRejects(() => world.say("bob", getRole, { who: ticket, out }), CulvertError, "--forgive");
  await world.say("bob", getRole, { who: ticket, out, forgive: true });
  assertEquals(await Deno.readTextFile(out), "not for others");
});

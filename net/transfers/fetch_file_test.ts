import { assert, assertEquals, assertGreater, assertLessOrEqual, assertRejects } from "@std/assert";
import fc from "fast-check";
import { CulvertError } from "../../protocol/errors.ts";
import { PIECE_BYTES } from "../../protocol/files/tree_hash.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { fetchFile } from "./fetch_file.ts";
import { hastyClock, recordingTools } from "./fixtures/fetching.ts";
import { contentOf, FakePeer, type Fault } from "./fixtures/fake_peer.ts";
import { readWhole } from "./peer_http.ts";

const SIZE = 12 * PIECE_BYTES + 777;
const CONTENT = contentOf(SIZE);

/** A folder to fetch to, and peers; gone with the test. */
class World implements AsyncDisposable {
  readonly #folder = new TempDirectory();
  readonly #peers: FakePeer[] = [];
  readonly out = this.#folder.path("film");

  peer(name: string, content = CONTENT, options: { indexed?: boolean } = {}): FakePeer {
    const peer = new FakePeer(name);
    peer.put("videos/film", content, options);
    this.#peers.push(peer);
    return peer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const peer of this.#peers) await peer[Symbol.asyncDispose]();
    this.#folder[Symbol.dispose]();
  }

  /** Fetches from the first of the peers, and from the others that have the same. */
  async fetch(peers: readonly FakePeer[], { tools = recordingTools(), overwrite = false, silenceMs = 2_000_000 } = {}) {
    const [source, ...others] = peers.map((peer) => peer.remote(tools.clock, silenceMs));
    try {
      return await fetchFile(source!, others, { path: "videos/film", out: this.out, overwrite }, tools);
    } finally {
      for (const remote of [source!, ...others]) remote[Symbol.dispose]();
    }
  }

  async names(): Promise<string[]> {
    return (await Array.fromAsync(Deno.readDir(this.#folder.path("")), ({ name }) => name)).sort();
  }
}

async function assertSame(path: string, content = CONTENT): Promise<void> {
  // Not assertEquals: it would print both.
  const found = await Deno.readFile(path);
  assert(found.length === content.length && found.every((byte, at) => byte === content[at]), "other bytes");
}

Deno.test("a file comes whole, checked, and with the time it was changed", async () => {
  await using world = new World();
  const peer = world.peer("a");
  const tools = recordingTools();
  const fetched = await world.fetch([peer], { tools });
  assertEquals([fetched.size, fetched.wasHere], [SIZE, false]);
  await assertSame(world.out);
  assertEquals(await world.names(), ["film"]);
  assertEquals((await Deno.stat(world.out)).mtime?.getTime(), 1e12);
  assertEquals(tools.starts.map(({ isVerified, keptBytes }) => [isVerified, keptBytes]), [[true, 0]]);
  assertEquals(peer.sentBytes, SIZE);
});

Deno.test("files of every length come whole", async () => {
  for (const size of [0, 1, 16_384, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 2 * PIECE_BYTES]) {
    await using world = new World();
    const content = CONTENT.slice(0, size);
    await world.fetch([world.peer("a", content)]);
    await assertSame(world.out, content);
    assertEquals(await world.names(), ["film"]);
  }
});

Deno.test("two fetches of a small file to one place do not get in each other's way", async () => {
  await using world = new World();
  const content = contentOf(5000);
  const peer = world.peer("a", content);
  const both = Promise.withResolvers<void>();
  peer.onAsked = () => peer.asked.length === 2 ? both.resolve() : both.promise;
  const fetching = [1, 2].map((seed) => world.fetch([peer], { tools: recordingTools({ seed }) }));
  const ended = await Promise.allSettled(fetching);
  const codes = ended.flatMap((end) => end.status === "rejected" ? [end.reason.code] : []);
  assertEquals(codes, ["exists"]);
  await assertSame(world.out, content);
  assertEquals(await world.names(), ["film"]);
});

Deno.test("a file that is here already is not fetched again, and another one is not overwritten unless asked for", async () => {
  await using world = new World();
  const peer = world.peer("a");
  await world.fetch([peer]);
  assertEquals((await world.fetch([peer])).wasHere, true);
  await Deno.writeTextFile(world.out, "mine");
  const error = await assertRejects(() => world.fetch([peer]), CulvertError);
  assertEquals([error.code, await Deno.readTextFile(world.out), peer.sentBytes], ["exists", "mine", SIZE]);
  await world.fetch([peer], { overwrite: true });
  await assertSame(world.out);
});

Deno.test("a claimed size takes no memory", async () => {
  await using world = new World();
  const peer = world.peer("a");
  const tools = recordingTools();
  using source = peer.remote(tools.clock);
  const { root } = peer.files.get("videos/film")!;
  const fetching = (size: number) => {
    const listed = { root, size, etag: `"${root}"`, modifiedMs: undefined };
    return fetchFile(source, [], { path: "videos/film", out: world.out, listed }, tools);
  };
  const error = await assertRejects(() => fetching(2 ** 41 + 1), CulvertError);
  assertEquals([error.code, await world.names()], ["too_large", []]);
});

Deno.test("a body is read whole, in memory that grows as it comes", async () => {
  const content = contentOf(3 * PIECE_BYTES + 5);
  const rows = [
    { name: "said", saidBytes: content.length, maxBytes: content.length },
    { name: "not said", saidBytes: undefined, maxBytes: content.length + 1 },
    { name: "said, and cut short", saidBytes: content.length + 2 ** 40, maxBytes: 2 ** 41 },
  ];
  for (const { name, saidBytes, maxBytes } of rows) {
    let at = 0;
    let largest = 0;
    const bytes = await readWhole({
      head: { status: 200, reason: "OK", fields: [], minor: 1 },
      get leftBytes() {
        return saidBytes === undefined ? undefined : saidBytes - at;
      },
      read(into) {
        largest = Math.max(largest, into.length);
        const next = content.subarray(at, at + into.length);
        into.set(next);
        at += next.length;
        return Promise.resolve(next.length === 0 ? null : next.length);
      },
      [Symbol.dispose]() {},
    }, maxBytes);
    assert(bytes.every((byte, index) => byte === content[index]), name);
    assertEquals([bytes.length, largest <= content.length], [content.length, true], name);
  }
});

Deno.test("several sources bring a file together", async () => {
  await using world = new World();
  const peers = [world.peer("a"), world.peer("b"), world.peer("c")];
  // None answers before all were asked: or the first may have sent everything before the others are found.
  const allAsked = Promise.withResolvers<void>();
  const asked = new Set<FakePeer>();
  for (const peer of peers) {
    peer.onAsked = () => {
      if (asked.add(peer).size === peers.length) allAsked.resolve();
      return allAsked.promise;
    };
  }
  const tools = recordingTools();
  await world.fetch(peers, { tools });
  await assertSame(world.out);
  assertGreater(tools.brought.size, 1);
  assertEquals([...tools.brought.values()].reduce((sum, bytes) => sum + bytes), SIZE);
});

Deno.test("when a source is killed another takes over, and no piece is asked for again that was there", async () => {
  await using world = new World();
  const [a, b] = [world.peer("a"), world.peer("b")];
  let asked = 0;
  a.onAsked = () => {
    if (++asked === 3) a.die();
  };
  await world.fetch([a, b]);
  await assertSame(world.out);
  assertLessOrEqual(b.sentBytes, SIZE);
});

Deno.test("when the only source is killed it says so, and the next time goes on from there", async () => {
  await using world = new World();
  const a = world.peer("a");
  let asked = 0;
  a.onAsked = () => {
    if (++asked === 4) a.die();
  };
  const error = await assertRejects(() => world.fetch([a]), CulvertError);
  assertEquals(error.code, "no_source");
  const b = world.peer("b");
  const tools = recordingTools();
  await world.fetch([b], { tools });
  await assertSame(world.out);
  const { keptBytes } = tools.starts[0]!;
  assertGreater(keptBytes, 0);
  assertEquals(b.sentBytes, SIZE - keptBytes);
});

Deno.test("when the source cannot be reached any more, whoever has the rest will do", async () => {
  await using world = new World();
  const [a, b] = [world.peer("a"), world.peer("b")];
  let asked = 0;
  a.onAsked = () => {
    if (++asked === 4) a.die();
  };
  await assertRejects(() => world.fetch([a]), CulvertError);
  // Elsewhere it may be called otherwise.
  b.files.set("copy of it", b.files.get("videos/film")!);
  b.files.delete("videos/film");
  await world.fetch([a, b]);
  await assertSame(world.out);
  assertLessOrEqual(b.sentBytes, SIZE - PIECE_BYTES);
});

Deno.test("a source that goes silent is not waited for", async () => {
  await using world = new World();
  const [silent, other] = [world.peer("silent"), world.peer("other")];
  silent.fault = () => ({ kind: "silence" });
  await world.fetch([silent, other], { silenceMs: 2000 });
  await assertSame(world.out);
});

Deno.test("a liar is dropped with its first wrong piece and told of, and others bring the file", async () => {
  await using world = new World();
  const [liar, honest] = [world.peer("liar"), world.peer("honest")];
  liar.fault = () => ({ kind: "wrong byte", at: 5 });
  const tools = recordingTools();
  await world.fetch([liar, honest], { tools });
  await assertSame(world.out);
  assertEquals([new Set(tools.liars), tools.brought.get("liar")], [new Set(["liar"]), undefined]);
});

Deno.test("of a liar alone nothing is kept", async () => {
  await using world = new World();
  const liar = world.peer("liar");
  liar.fault = () => ({ kind: "wrong byte", at: 5 });
  const error = await assertRejects(() => world.fetch([liar]), CulvertError, "wrong bytes");
  assertEquals(error.code, "no_source");
  assert(!(await world.names()).includes("film"));
  await using small = new World();
  const smallLiar = small.peer("liar", CONTENT.slice(0, 1000));
  smallLiar.fault = () => ({ kind: "wrong byte", at: 5 });
  const tools = recordingTools();
  await assertRejects(() => small.fetch([smallLiar], { tools }), CulvertError, "not what it says");
  assertEquals([tools.liars, await small.names()], [["liar"], []]);
});

Deno.test("who lies about the hashes of the pieces is told of, too", async () => {
  await using world = new World();
  const liar = world.peer("liar");
  liar.files.get("videos/film")!.pieces[3]! ^= 1;
  const tools = recordingTools();
  const error = await assertRejects(() => world.fetch([liar], { tools }), CulvertError);
  assertEquals([error.code, tools.liars], ["lied", ["liar"]]);
});

Deno.test("of who lies about the hashes no piece is taken, either", async () => {
  await using world = new World();
  const [liar, honest] = [world.peer("liar"), world.peer("honest")];
  const file = liar.files.get("videos/film")!;
  file.pieces = file.pieces.slice().fill(1);
  const tools = recordingTools();
  await world.fetch([liar, honest], { tools });
  await assertSame(world.out);
  assertEquals([tools.liars, [...tools.brought.keys()], liar.sentBytes], [["liar"], ["honest"], 0]);
});

Deno.test("a busy source is asked again when it says", async () => {
  await using world = new World();
  const peer = world.peer("a");
  let refusals = 0;
  peer.fault = () => refusals++ < 20 ? { kind: "status", status: 503, retryAfter: 1 } : undefined;
  await world.fetch([peer]);
  await assertSame(world.out);
});

Deno.test("a file that is changed at its source is begun anew as what it is now; what is the same is kept", async () => {
  await using world = new World();
  const peer = world.peer("a");
  const changed = CONTENT.slice(0, SIZE - 10);
  changed[7 * PIECE_BYTES]! ^= 1;
  let asked = 0;
  peer.onAsked = () => {
    if (++asked === 4) peer.put("videos/film", changed);
  };
  const tools = recordingTools();
  await world.fetch([peer], { tools });
  await assertSame(world.out, changed);
  assertEquals([tools.restarts, tools.starts.length], [["videos/film"], 2]);
  assertGreater(tools.starts[1]!.keptBytes, 0);
  assertLessOrEqual(peer.sentBytes, SIZE + 2 * PIECE_BYTES);
});

Deno.test("a file that is not in the index comes by its source's word, never mixed with what it was before", async () => {
  await using world = new World();
  const peer = world.peer("a", CONTENT, { indexed: false });
  const changed = contentOf(SIZE, 77);
  let asked = 0;
  peer.onAsked = () => {
    if (++asked === 4) peer.put("videos/film", changed, { indexed: false });
  };
  const tools = recordingTools();
  await world.fetch([peer, world.peer("b")], { tools });
  await assertSame(world.out, changed);
  assertEquals(tools.starts.map(({ isVerified, keptBytes }) => [isVerified, keptBytes]), [[false, 0], [false, 0]]);
  assertEquals([...tools.brought.keys()], ["a"]);
});

Deno.test("a file that is not what was promised is not fetched", async () => {
  await using world = new World();
  const peer = world.peer("a");
  using source = peer.remote(hastyClock());
  const wish = { path: "videos/film", out: world.out, root: "0".repeat(64) };
  const error = await assertRejects(() => fetchFile(source, [], wish, recordingTools()), CulvertError);
  assertEquals([error.code, peer.sentBytes], ["changed", 0]);
  await assertRejects(
    () => fetchFile(source, [], { ...wish, path: "nothing" }, recordingTools()),
    CulvertError,
    "no such",
  );
});

Deno.test("two hashes of a file's tree are not taken for the file, whose root they have", async () => {
  await using world = new World();
  const file = world.peer("honest", contentOf(2 * PIECE_BYTES)).files.get("videos/film")!;
  const liar = world.peer("liar", file.pieces);
  const wish = { path: "videos/film", out: world.out, root: file.root };
  assertEquals(liar.files.get("videos/film")!.root, file.root);
  using source = liar.remote(hastyClock());
  using gone = liar.remote(hastyClock());
  for (const size of [undefined, 2 * PIECE_BYTES]) {
    const fetching = fetchFile(source, [], { ...wish, size }, recordingTools());
    assertEquals((await assertRejects(() => fetching, CulvertError)).code, "changed");
  }
  const elsewhere = fetchFile(source, [gone], { ...wish, path: "nothing" }, recordingTools());
  assertEquals((await assertRejects(() => elsewhere, CulvertError)).code, "not_found");
  assertEquals(liar.sentBytes, 0);
  // Where the ticket says so, it is.
  assertEquals((await fetchFile(source, [], { ...wish, size: 64 }, recordingTools())).size, 64);
});

Deno.test("a fetch that is stopped keeps what has come", async () => {
  await using world = new World();
  const peer = world.peer("a");
  const stop = new AbortController();
  let asked = 0;
  peer.onAsked = () => {
    if (++asked === 4) stop.abort(new CulvertError("stopped", "The test says so"));
  };
  await assertRejects(
    () => world.fetch([peer], { tools: recordingTools({ signal: stop.signal }) }),
    CulvertError,
    "says so",
  );
  const tools = recordingTools();
  await world.fetch([peer], { tools });
  await assertSame(world.out);
  assertGreater(tools.starts[0]!.keptBytes, 0);
});

Deno.test("whatever goes wrong, no byte is ever wrong, and one honest source is enough", async () => {
  const fault: fc.Arbitrary<Fault | undefined> = fc.oneof(
    { weight: 3, arbitrary: fc.constant(undefined) },
    { weight: 2, arbitrary: fc.nat().map((afterBytes) => ({ kind: "cut", afterBytes }) as const) },
    { weight: 1, arbitrary: fc.nat().map((at) => ({ kind: "wrong byte", at }) as const) },
    {
      weight: 1,
      arbitrary: fc.constantFrom(500, 503, 404, 412).map((status) => ({ kind: "status", status }) as const),
    },
    { weight: 1, arbitrary: fc.constant({ kind: "other part" } as const) },
  );
  const faults = fc.array(fault, { minLength: 1, maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 0, max: 6 * PIECE_BYTES }),
      faults,
      faults,
      fc.boolean(),
      async (size, one, two, isHonest) => {
        await using world = new World();
        const content = CONTENT.slice(0, size);
        const peers = [world.peer("a", content), world.peer("b", content), world.peer("c", content)];
        [one, two, isHonest ? [undefined] : two].forEach((faults, number) => {
          let turn = 0;
          peers[number]!.fault = (_path, from, to) => from === to ? undefined : faults[turn++ % faults.length];
        });
        try {
          // Those who are busy all the time are waited for many minutes, which have to be over in no time.
          await world.fetch(peers, { tools: recordingTools({ clock: hastyClock(5000) }), silenceMs: 300_000_000 });
          await assertSame(world.out, content);
        } catch (error) {
          assert(error instanceof CulvertError, String(error));
          assert(!isHonest, error.message);
          assert(!(await world.names()).includes("film"));
        }
      },
    ),
    { numRuns: 40 },
  );
});

/**
 * What every Path must do (protocol/stream.ts), as tests that any implementation is run against. The fixture says what
 * stands at the far side; a clause whose target the fixture does not have is not registered, so name what you can:
 *
 *   testPathContract("direct", { setUp: async () => ({ path, echo, refusing, unresolved }) }, ["echo", "refusing", …]);
 */

import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { DialError, type DialFailure } from "../protocol/errors.ts";
import { type Path, readFull, type Target, writeAll } from "../protocol/stream.ts";
import { registerTest } from "./runner.ts";

/** A Path to be held against the contract, and what it leads to. */
export interface PathFixture extends AsyncDisposable {
  /** The Path. */
  readonly path: Path;
  /** Sends back what it is sent, and ends when its peer does. */
  readonly echo: Target;
  /** A host that answers, where nothing listens. */
  readonly refusing?: Target;
  /** A name that has no address. */
  readonly unresolved?: Target;
  /** A place that never answers a dial. */
  readonly silent?: Target;
  /** Sends every datagram back to where it came from. */
  readonly datagramEcho?: Target;
}

/** How the contract gets its Paths. */
export interface PathContractOptions {
  /** A new Path for a case, which is disposed after it. */
  setUp(): Promise<PathFixture>;
  /** The targets that the fixture has, beside `echo`. */
  readonly has: readonly ("refusing" | "unresolved" | "silent" | "datagramEcho")[];
}

interface Case {
  readonly needs?: PathContractOptions["has"][number];
  run(fixture: PathFixture): Promise<void>;
}

const cases: Readonly<Record<string, Case>> = {
  "a dialled stream carries bytes both ways": {
    async run({ path, echo }) {
      using stream = await path.dial(echo);
      await writeAll(stream, Uint8Array.of(1, 2, 3));
      const back = new Uint8Array(3);
      assert(await readFull(stream, back));
      assertEquals([...back], [1, 2, 3]);
      await stream.closeWrite();
      assertEquals(await stream.read(back), null);
    },
  },
  "many streams are open at once and do not mix": {
    async run({ path, echo }) {
      await Promise.all(Array.from({ length: 20 }, async (_, name) => {
        using stream = await path.dial(echo);
        await writeAll(stream, new Uint8Array(1000).fill(name));
        const back = new Uint8Array(1000);
        assert(await readFull(stream, back));
        assert(back.every((byte) => byte === name), `stream ${name} got another's bytes`);
      }));
    },
  },
  "a refused dial says so": { needs: "refusing", run: ({ path, refusing }) => assertFails(path, refusing!, "refused") },
  "a name without an address says so": {
    needs: "unresolved",
    run: ({ path, unresolved }) => assertFails(path, unresolved!, "unresolved"),
  },
  "a dial with an aborted signal rejects with its reason": {
    async run({ path, echo }) {
      const reason = new Error("changed my mind");
      const thrown = await assertRejects(() => path.dial(echo, { signal: AbortSignal.abort(reason) }));
      assertEquals(thrown, reason);
    },
  },
  "aborting during a dial rejects with the signal's reason": {
    needs: "silent",
    async run({ path, silent }) {
      const controller = new AbortController();
      const reason = new Error("waited long enough");
      const dialling = path.dial(silent!, { signal: controller.signal });
      controller.abort(reason);
      assertEquals(await assertRejects(() => dialling), reason);
    },
  },
  "aborting after the dial leaves the stream alone": {
    async run({ path, echo }) {
      const controller = new AbortController();
      using stream = await path.dial(echo, { signal: controller.signal });
      controller.abort(new Error("too late"));
      await writeAll(stream, Uint8Array.of(9));
      assertEquals(await stream.read(new Uint8Array(1)), 1);
    },
  },
  "closing the path closes its streams": {
    async run({ path, echo }) {
      using stream = await path.dial(echo);
      const reading = stream.read(new Uint8Array(8)).then((count) => count ?? 0, () => 0);
      path.close();
      assertEquals(await reading, 0);
    },
  },
  "closing the path rejects a pending dial": {
    needs: "silent",
    async run({ path, silent }) {
      const dialling = path.dial(silent!);
      path.close();
      await assertRejects(() => dialling);
    },
  },
  "a closed path dials nothing, and may be closed again": {
    async run({ path, echo }) {
      path.close();
      path.close();
      await assertRejects(() => path.dial(echo));
    },
  },
  "datagrams go out and come back": {
    needs: "datagramEcho",
    async run({ path, datagramEcho }) {
      using socket = await path.datagrams!();
      await socket.send(Uint8Array.of(4, 5, 6), datagramEcho!);
      const into = new Uint8Array(64);
      const received = await socket.receive(into);
      assertEquals([...into.subarray(0, received?.length)], [4, 5, 6]);
      assertEquals(received?.from, datagramEcho);
    },
  },
  "closing a datagram socket settles its receive": {
    needs: "datagramEcho",
    async run({ path }) {
      using socket = await path.datagrams!();
      const receiving = socket.receive(new Uint8Array(8));
      socket.close();
      socket.close();
      assertEquals(await receiving, null);
    },
  },
};

/** Registers one test per clause that the fixture can show. */
export function testPathContract(name: string, options: PathContractOptions): void {
  for (const [clause, { needs, run }] of Object.entries(cases)) {
    if (needs && !options.has.includes(needs)) continue;
    registerTest({
      name: `${name}: ${clause}`,
      async fn() {
        await using fixture = await options.setUp();
        using _path = fixture.path;
        await run(fixture);
      },
    });
  }
}

async function assertFails(path: Path, target: Target, code: DialFailure): Promise<void> {
  const error = await assertRejects(() => path.dial(target));
  assertInstanceOf(error, DialError);
  assertEquals(error.code, code);
}

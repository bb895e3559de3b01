import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { DialError } from "../protocol/errors.ts";
import type { Datagrams, Path, Stream } from "../protocol/stream.ts";
import { codeOfError, noTracing, type SpanFacts, type SpanName, type Tracing } from "../protocol/tracing.ts";
import { tracedPath } from "./traced_path.ts";

const TARGET = { host: "visited.example", port: 443 };

/** Writes down what it is told. */
class Told implements Tracing {
  readonly isOn = true;
  readonly spans: [SpanName, SpanFacts, string][] = [];

  async run<T>(name: SpanName, facts: SpanFacts, work: Parameters<Tracing["run"]>[2]): Promise<T> {
    try {
      const done = await work({ add() {}, fail() {} });
      this.spans.push([name, facts, "ok"]);
      return done as T;
    } catch (error) {
      this.spans.push([name, facts, codeOfError(error)]);
      throw error;
    }
  }
}

function pathOf(dial: () => Promise<Stream>): Path & { closings: number } {
  return {
    dial,
    datagrams: () => Promise.resolve({} as Datagrams),
    closings: 0,
    close() {
      this.closings++;
    },
    closed: () => Promise.resolve(),
    problem: "nothing is up",
    [Symbol.dispose]() {
      this.close();
    },
  };
}

const dials = { name: "path.dial", facts: { way: "direct" } } as const;

Deno.test("where nobody listens a path is the path itself, so that nothing is paid for", () => {
  const path = pathOf(() => Promise.reject(new Error("not dialled")));
  assertStrictEquals(tracedPath(path, noTracing, dials), path);
  assertStrictEquals(tracedPath(path, undefined, dials), path);
});

Deno.test("a dial is told with how it ended, and not where it leads; the rest of a path is as it was", async () => {
  const told = new Told();
  let failure: Error | undefined;
  const path = pathOf(() => failure ? Promise.reject(failure) : Promise.resolve({} as Stream));
  const traced = tracedPath(path, told, dials);
  await traced.dial(TARGET);
  failure = new DialError("refused", "Cannot reach visited.example:443");
  await assertRejects(() => traced.dial(TARGET), DialError);
  failure = new TypeError("visited.example is odd");
  await assertRejects(() => traced.dial(TARGET), TypeError);
  assertEquals(told.spans, [
    ["path.dial", { way: "direct" }, "ok"],
    ["path.dial", { way: "direct" }, "refused"],
    ["path.dial", { way: "direct" }, "error"],
  ]);
  await traced.datagrams!();
  await traced.closed!();
  traced.close();
  traced[Symbol.dispose]();
  assertEquals([traced.problem, path.closings], ["nothing is up", 2]);
});

Deno.test("a path without datagrams has none when it is traced", () => {
  const { datagrams: _, closed: __, ...bare } = pathOf(() => Promise.reject(new Error("not dialled")));
  const traced = tracedPath(bare, new Told(), dials);
  assertEquals([traced.datagrams, traced.closed], [undefined, undefined]);
});

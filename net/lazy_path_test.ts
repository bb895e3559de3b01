import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { DialError } from "../protocol/errors.ts";
import type { Path } from "../protocol/stream.ts";
import { FakeClock, settle } from "../testing/fake_clock.ts";
import { LogCollector } from "../testing/log_collector.ts";
import { ScriptedPath } from "../testing/scripted_path.ts";
import { LazyPath } from "./lazy_path.ts";

const target = { host: "target.example", port: 80 };

function lazy(open: (clock: FakeClock) => Promise<Path>) {
  const clock = new FakeClock(), log = new LogCollector();
  return { clock, log, path: new LazyPath(() => open(clock), { clock, log }) };
}

Deno.test("dials wait until it is open", async () => {
  const opening = Promise.withResolvers<Path>();
  const { path, clock } = lazy(() => opening.promise);
  assertEquals(path.problem, "It is still being opened");
  const dial = path.dial(target);
  opening.resolve(new ScriptedPath(clock));
  (await dial).close();
  assertEquals(path.problem, undefined);
  path.close();
});

Deno.test("when it cannot be opened every dial says why, and a later one tries again", async () => {
  let attempts = 0;
  const { path, clock, log } = lazy((clock) => {
    attempts++;
    return attempts < 3 ? Promise.reject(new Error("There is no privilege")) : Promise.resolve(new ScriptedPath(clock));
  });
  const error = await assertRejects(() => path.dial(target), DialError);
  assertEquals(error.code, "path_down");
  assertStringIncludes(error.message, "There is no privilege");
  assertStringIncludes(path.problem!, "There is no privilege");
  await assertRejects(() => path.dial(target), DialError);
  assertEquals(attempts, 1);
  clock.advance(1000);
  await assertRejects(() => path.dial(target), DialError);
  assertEquals([attempts, log.lines.length], [2, 1]);
  clock.advance(1000);
  (await path.dial(target)).close();
  path.close();
});

Deno.test("what ends by itself is opened anew, and until then every dial says why", async () => {
  const endings: PromiseWithResolvers<Error | undefined>[] = [];
  const { path, clock } = lazy((clock) => {
    const ending = Promise.withResolvers<Error | undefined>();
    endings.push(ending);
    return Promise.resolve(Object.assign(new ScriptedPath(clock), { ended: ending.promise }));
  });
  (await path.dial(target)).close();
  endings[0]!.resolve(new Error("The bridge has ended"));
  await settle();
  assertEquals(path.problem, "The bridge has ended");
  await assertRejects(() => path.dial(target), DialError, "The bridge has ended");
  clock.advance(1000);
  (await path.dial(target)).close();
  assertEquals([endings.length, path.problem], [2, undefined]);
  path.close();
});

Deno.test("closed while it is opened, what was opened is closed, and dials fail", async () => {
  const opening = Promise.withResolvers<Path>();
  const { path, clock } = lazy(() => opening.promise);
  path.close();
  const inner = new ScriptedPath(clock);
  opening.resolve(inner);
  await settle();
  assertEquals(inner.isClosed, true);
  await assertRejects(() => path.dial(target), DialError, "closed");
});

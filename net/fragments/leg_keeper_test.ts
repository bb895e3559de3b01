import { assert, assertEquals } from "@std/assert";
import { FakeClock } from "../../testing/fake_clock.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { type LegCarrier, LegKeeper } from "./leg_keeper.ts";

interface Opened extends LegCarrier {
  readonly end: (error?: unknown) => void;
  readonly log: string[];
}

/** A keeper whose carriers are what the test says. */
function rig(open: (attempt: number) => Error | "hangs" | undefined = () => undefined) {
  const clock = new FakeClock();
  const said: string[] = [];
  const carriers: Opened[] = [];
  let attempts = 0;
  const keeper = new LegKeeper<Opened>({
    leg: 4,
    relay: { relayId: "r", url: "http://r/" },
    clock,
    random: new SeededRandom(1),
    open: (onClose, signal) => {
      const trouble = open(++attempts);
      if (trouble instanceof Error) return Promise.reject(trouble);
      if (trouble) return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
      const log: string[] = [];
      const carrier: Opened = {
        log,
        end: onClose,
        close: () => {
          log.push("closed");
          onClose();
        },
        [Symbol.dispose]: () => {
          log.push("disposed");
          onClose();
        },
      };
      carriers.push(carrier);
      return Promise.resolve(carrier);
    },
    onUp: () => said.push("up"),
    onDown: (error) => said.push(`down ${error}`),
    onBad: (error) => said.push(`bad ${(error as Error)?.message}`),
  });
  return { clock, keeper, said, carriers };
}

Deno.test("a leg that is lost comes up again", async () => {
  const { clock, keeper, said, carriers } = rig();
  await clock.advanceAsync(10_000);
  carriers[0]!.end("lost");
  await clock.advanceAsync(1000);
  assertEquals(said, ["up", "down lost", "up"]);
  assertEquals(keeper.carrier, carriers[1]);
  keeper.close();
  await keeper.done;
  assertEquals([carriers[1]!.log, clock.pendingTimers], [["closed"], 0]);
});

Deno.test("one that fails twice in a row is bad, and tried on and on", async () => {
  const { clock, keeper, said } = rig((attempt) => attempt < 4 ? new Error(`no ${attempt}`) : undefined);
  await clock.advanceAsync(30_000);
  assertEquals(said, ["bad no 2", "bad no 3", "up"]);
  keeper[Symbol.dispose]();
  await keeper.done;
});

Deno.test("a connection that hangs is given up, and closing ends it at once", async () => {
  const { clock, keeper, said } = rig(() => "hangs");
  await clock.advanceAsync(11_000);
  assert(said[0]!.startsWith("bad Cannot reach a relay"));
  keeper.close();
  await keeper.done;
  assertEquals(clock.pendingTimers, 0);
});

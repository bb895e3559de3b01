import { assertEquals, assertRejects } from "@std/assert";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { SlotClock } from "./clock.ts";
import { Pipe, PIPE_TIMEOUT_MS, type Program, SimNetwork, type SimSocket } from "./network.ts";

class Rig {
  readonly slots = new SlotClock();
  readonly network = new SimNetwork(new SeededRandom(1));
  readonly one = this.#start("one", "east");
  readonly other = this.#start("other", "west");
  readonly heard: string[] = [];

  constructor() {
    this.other.accept = (socket) => this.#listen("other", socket);
    this.other.answer = () => Promise.resolve(new Response("yes"));
  }

  async connect(): Promise<SimSocket> {
    const connecting = this.network.connect(this.one, this.other.host, new AbortController().signal);
    await this.pass(1_000);
    const socket = await connecting;
    this.#listen("one", socket);
    return socket;
  }

  pass(ms: number): Promise<void> {
    return this.slots.runUntil(this.slots.nowMs + ms);
  }

  #start(name: string, region: string): Program {
    return this.network.start(this.network.host(name, region), this.slots.program());
  }

  #listen(name: string, socket: SimSocket): void {
    socket.start({
      onText: (text) => this.heard.push(`${name}: ${text}`),
      onBinary() {},
      onClose: (error) => this.heard.push(`${name} ${error ? "reset" : "closed"}`),
    });
  }
}

Deno.test("texts arrive in their order, and the end after them", async () => {
  const rig = new Rig();
  const socket = await rig.connect();
  for (const text of ["a", "b", "c"]) socket.send(text);
  socket.close();
  await rig.pass(1_000);
  assertEquals(rig.heard, ["other: a", "other: b", "other: c", "other closed", "one closed"]);
});

Deno.test("what is sent over a cut arrives when it is healed", async () => {
  const rig = new Rig();
  const socket = await rig.connect();
  rig.network.cut("east", "west", { pipes: [], nowMs: 0 });
  socket.send("a");
  await rig.pass(60_000);
  assertEquals(rig.heard, []);
  rig.network.heal("east", "west", 0);
  await rig.pass(1_000);
  assertEquals(rig.heard, ["other: a"]);
});

Deno.test("the end of a program is told by its host, or by nobody, and nothing it waits for comes", async () => {
  for (const kind of ["reset", "silent"] as const) {
    const rig = new Rig();
    await rig.connect();
    rig.other.clock.after(10, () => rig.heard.push("a timer of the dead"));
    rig.network.end(rig.other, kind);
    await rig.pass(60_000);
    assertEquals(rig.heard, kind === "reset" ? ["one reset"] : []);
    const asking = rig.network.request(rig.one, new Request("https://other.sim/", { signal: AbortSignal.abort() }));
    await assertRejects(() => asking);
  }
});

Deno.test("a pipe that fails in silence is found out after a while", async () => {
  const rig = new Rig();
  const pipe = new Pipe(rig.network, rig.one, rig.other);
  pipe.whenEnded(rig.one, () => rig.heard.push("ended"));
  rig.network.end(rig.other, "silent");
  assertEquals(pipe.isWhole, false);
  await rig.pass(PIPE_TIMEOUT_MS - 100);
  assertEquals(rig.heard, []);
  await rig.pass(200);
  assertEquals(rig.heard, ["ended"]);
});

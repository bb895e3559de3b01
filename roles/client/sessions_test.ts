import { assertEquals } from "@std/assert";
import { hostPrimitives } from "../../net/host_primitives.ts";
import type { ControlStream } from "../../net/control.ts";
import type { SessionSwitch } from "../../net/session_switch.ts";
import { FakeClock, settle } from "../../testing/fake_clock.ts";
import { ClientSessions } from "./sessions.ts";

/** A supernode that says which sessions it has, and hears which have ended while the control stream is open. */
class Rig {
  isOpen = true;
  /** What the supernode still has. */
  readonly kept = new Set<string>();
  readonly used = new Set<string>();
  readonly #control = {
    supernode: { supernodeId: "here" },
    request: (wanted: { readonly what: string; readonly sessionId?: string }) => {
      if (!this.isOpen) return Promise.reject(new Error("the stream has ended"));
      if (wanted.what === "sessions") return Promise.resolve({ sessionIds: [...this.kept] });
      this.kept.delete(wanted.sessionId!);
      return Promise.resolve({});
    },
  };
  readonly sessions: ClientSessions;

  constructor() {
    const control = Object.defineProperty(this.#control, "isOpen", { get: () => this.isOpen });
    this.sessions = new ClientSessions({
      primitives: hostPrimitives(),
      network: undefined,
      clock: new FakeClock(),
      control: () => control as unknown as ControlStream,
      way: () => ({ isUp: true, losses: 0, up: () => Promise.resolve() }),
      openWay: () => {
        throw new Error("no session is opened here");
      },
    });
  }

  reconcile(): Promise<void> {
    const exits = { sessionIds: this.used, drop() {} };
    return this.sessions.reconcile(exits as unknown as SessionSwitch);
  }
}

Deno.test("what an earlier process has left is ended the first time, and nothing else later", async () => {
  const rig = new Rig();
  rig.used.add("mine");
  for (const id of ["mine", "left"]) rig.kept.add(id);
  await rig.reconcile();
  assertEquals([...rig.kept], ["mine"]);
  rig.kept.add("being granted");
  await rig.reconcile();
  assertEquals([...rig.kept], ["mine", "being granted"]);
});

Deno.test("a session that was let go of while the supernode could not be told is ended once it can", async () => {
  const rig = new Rig();
  await rig.reconcile();
  for (const id of ["one", "two"]) rig.kept.add(id);
  rig.isOpen = false;
  rig.sessions.release("one");
  rig.isOpen = true;
  rig.sessions.release("two");
  await settle();
  assertEquals([...rig.kept], ["one"]);
  await rig.reconcile();
  assertEquals([...rig.kept], []);
});

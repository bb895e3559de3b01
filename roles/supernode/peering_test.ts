import { assertEquals, assertRejects } from "@std/assert";
import { peerId, supernode, token } from "../../kv/fixtures/records.ts";
import { HttpCallError } from "../../net/signed_http.ts";
import { DialError } from "../../protocol/errors.ts";
import { silentLog } from "../../protocol/log.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { Peering } from "./peering.ts";

const OTHER = peerId(7);

/** A supernode that can be at several places, and a base that may know where. */
class Rig {
  readonly asked: string[] = [];
  readonly blocked = new Set<string>();
  isBaseDown = false;
  /** Where base says it is, and where it is. */
  listed: string | undefined = "https://old.example";
  place: string | undefined = "https://old.example";
  readonly #clock = new FakeClock();
  readonly peering = new Peering({
    supernodeId: peerId(9000),
    directory: {
      candidates: () => Promise.resolve([]),
      find: () => {
        if (this.isBaseDown) return Promise.reject(new Error("base is down"));
        const wallMs = this.#clock.wallNow();
        const times = { registeredAtMs: wallMs, heartbeatAtMs: wallMs, expiresAtMs: wallMs + 30_000 };
        return Promise.resolve(
          this.listed === undefined ? undefined : { ...supernode(7, { url: this.listed }), ...times },
        );
      },
    },
    http: {
      call: ({ url }) => {
        this.asked.push(url.origin);
        if (url.origin === this.place) return Promise.resolve({ ok: true } as never);
        return Promise.reject(new HttpCallError("http_failed", "nobody is there"));
      },
    },
    clock: this.#clock,
    log: silentLog,
    isBlocked: (id) => this.blocked.has(id),
    isDown: () => false,
    linkLatencyMs: () => undefined,
  });

  end(): Promise<void> {
    return this.peering.end(OTHER, { sessionId: token(1), reason: "client_left" });
  }
}

Deno.test("a supernode that was not reached where it was is looked for again", async () => {
  const rig = new Rig();
  await rig.end();
  rig.place = rig.listed = "https://new.example";
  await assertRejects(() => rig.end(), HttpCallError);
  await rig.end();
  assertEquals(rig.asked, ["https://old.example", "https://old.example", "https://new.example"]);
});

Deno.test("while base is down a supernode that was away for a moment is still known", async () => {
  const rig = new Rig();
  await rig.end();
  rig.isBaseDown = true;
  rig.place = undefined;
  await assertRejects(() => rig.end(), HttpCallError);
  rig.place = "https://old.example";
  await rig.end();
  assertEquals(rig.asked.length, 3);
});

Deno.test("a supernode that is blocked is not asked for anything", async () => {
  const rig = new Rig();
  rig.blocked.add(OTHER);
  await assertRejects(() => rig.end(), DialError, "blocked");
  assertEquals(rig.asked, []);
});

import { assertEquals, assertRejects } from "@std/assert";
import { hostPrimitives } from "../../net/host_primitives.ts";
import { clockOf } from "../../protocol/clock.ts";
import { generateSecrets, Identity } from "../../protocol/identity.ts";
import { makeInvitation } from "../../protocol/peers/invitations.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { LogCollector } from "../../testing/log_collector.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { eventually } from "../../testing/waiting.ts";
import { ConfigError } from "../config.ts";
import type { RoleContext } from "../role.ts";
import { type FollowedRules, followRules } from "./guest_lists.ts";
import { InvitationStore } from "./invitation_store.ts";
import { peerConfig } from "./peer_settings.ts";

const primitives = hostPrimitives();
const random = new SeededRandom(3);
const clock = clockOf(globalThis);
const [ada, bob] = [1, 2].map(() => new Identity(generateSecrets(random), primitives).peerId);

class Home implements Disposable {
  readonly directory = new TempDirectory();
  readonly log = new LogCollector();
  readonly list = this.directory.path("friends.txt");
  readonly context = {
    ...{ clock, log: this.log, signal: new AbortController().signal, stateDir: this.directory.path("state") },
  } as unknown as RoleContext;

  follow(flags: Readonly<Record<string, unknown>>): Promise<FollowedRules> {
    const settings = peerConfig.parse({ folder: ".", ...flags });
    return followRules(settings, { context: this.context, primitives });
  }

  [Symbol.dispose](): void {
    this.directory[Symbol.dispose]();
  }
}

Deno.test("who is put on a list may come in, with files where those are taken; who is denied may not", async () => {
  for (const upload of [true, false]) {
    using home = new Home();
    Deno.writeTextFileSync(home.list, `${ada} upload # Ada\n`);
    await using followed = await home.follow({ allowFile: home.list, upload });
    const judge = (peerId: string) => followed.rules.judge({ peerId }, clock.wallNow());
    assertEquals(judge(ada!), { ok: true, scope: "", mayUpload: upload });
    assertEquals(judge(bob!).ok, false);
    Deno.writeTextFileSync(home.list, `${bob}\n`);
    await eventually("the list was read again", () => judge(bob!).ok && !judge(ada!).ok);
    Deno.writeTextFileSync(home.list, "nobody at all\n");
    await home.log.waitFor("the one before stays");
    assertEquals(judge(bob!).ok, true, "the list before stays");
  }
});

Deno.test("a list that is of no use to begin with is told, with the line", async () => {
  using home = new Home();
  Deno.writeTextFileSync(home.list, `${ada}\nbob\n`);
  const error = await assertRejects(() => home.follow({ denyFile: home.list }), ConfigError);
  assertEquals(/--deny-file .* got "bob" in line 2/s.test(error.message), true, error.message);
  await assertRejects(() => home.follow({ allowFile: home.directory.path("none") }), ConfigError, "--allow-file");
});

Deno.test("an invitation counts from when it was made until it is revoked, and who has used it is written down", async () => {
  using home = new Home();
  await using followed = await home.follow({});
  const store = await InvitationStore.open(home.context);
  const { invitation, secret } = makeInvitation({ scope: "notes" }, { random, primitives, wallNowMs: clock.wallNow() });
  await store.add(invitation);
  const judge = (peerId: string) => followed.rules.judge({ peerId, invitation: secret }, clock.wallNow());
  await eventually("it is known", () => judge(ada!).ok);
  const grant = judge(ada!);
  if (!grant.ok) throw new Error("it was let in a moment ago");
  assertEquals(grant.scope, "notes");
  followed.rules.use(ada!, grant);
  await eventually("it is written down", async () => (await store.list())[0]?.usedBy.includes(ada!) === true);
  assertEquals(judge(bob!).ok, false, "it was for one");
  await store.revoke(invitation.id);
  await eventually("it is revoked", () => !judge(ada!).ok);
});

import { assert, assertEquals, assertThrows } from "@std/assert";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { portablePrimitives as primitives } from "../primitives.ts";
import {
  type Invitation,
  invitationHash,
  invitationSchema,
  makeInvitation,
  refusalOfInvitation,
  usedInvitation,
} from "./invitations.ts";

const [ADA, BEN, CAT] = ["a", "e", "i"].map((last) => "a".repeat(25) + last) as [string, string, string];
const tools = { random: new SeededRandom(3), primitives, wallNowMs: 1_000 };

Deno.test("its maker keeps a hash, by which the secret is found and from which it cannot be told", () => {
  const { invitation, secret } = makeInvitation({ scope: "music", mayUpload: true }, tools);
  assertEquals(invitationHash(secret, primitives), invitation.hash);
  assert(!JSON.stringify(invitation).includes(secret));
  assertEquals(invitationSchema.parse(JSON.parse(JSON.stringify(invitation))), invitation);
});

Deno.test("no two are alike", () => {
  const [one, other] = [makeInvitation({}, tools), makeInvitation({}, tools)];
  assert(one.secret !== other.secret && one.invitation.id !== other.invitation.id);
});

Deno.test("who may use an invitation, and until when", () => {
  const { invitation } = makeInvitation({ expiresAtMs: 5_000, maxPeers: 2 }, tools);
  const used = [ADA, BEN].reduce((sofar, peer) => usedInvitation(sofar, peer), invitation);
  const table: [what: string, invitation: Invitation | undefined, peerId: string, nowMs: number, refusal?: string][] = [
    ["a new one", invitation, ADA, 4_999],
    ["at its end", invitation, ADA, 5_000, "expired_invitation"],
    ["used by as many as may, by one more", used, CAT, 1_000, "used_invitation"],
    ["the same, by one of them again", used, BEN, 1_000],
    ["of somebody who has used it, expired", used, BEN, 5_000, "expired_invitation"],
    ["one that there is not", undefined, ADA, 1_000, "unknown_invitation"],
  ];
  for (const [what, each, peerId, nowMs, refusal] of table) {
    assertEquals(refusalOfInvitation(each, peerId, nowMs), refusal as never, what);
  }
});

Deno.test("using it twice counts once", () => {
  const { invitation } = makeInvitation({ maxPeers: 3 }, tools);
  const once = usedInvitation(invitation, ADA);
  assertEquals(once.usedBy, [ADA]);
  assert(usedInvitation(once, ADA) === once);
});

Deno.test("an invitation for nobody cannot be made", () => {
  assertThrows(() => makeInvitation({ maxPeers: 0 }, tools));
});

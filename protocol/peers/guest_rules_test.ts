import { assert, assertEquals } from "@std/assert";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { portablePrimitives as primitives } from "../primitives.ts";
import { GuestRules, parsePeerList } from "./guest_rules.ts";
import { type Invitation, makeInvitation } from "./invitations.ts";

const [ADA, BEN, CAT] = ["a", "e", "i"].map((last) => "a".repeat(25) + last) as [string, string, string];
const tools = { random: new SeededRandom(4), primitives, wallNowMs: 0 };
const listed = (mayUpload: boolean, ...peers: string[]) => new Map(peers.map((peer) => [peer, { mayUpload }]));

Deno.test("who may come in, and what for", () => {
  const { invitation, secret } = makeInvitation({ scope: "music", mayUpload: true, expiresAtMs: 10 }, tools);
  const all = { ok: true, scope: "", mayUpload: false };
  const invited = { ok: true, scope: "music", mayUpload: true, invitation: invitation.hash };
  const table: [
    what: string,
    rules: { isOpen?: boolean; openUpload?: boolean; allowed?: string[]; denied?: string[] },
    knock: { invitation?: string; nowMs?: number },
    outcome: unknown,
  ][] = [
    ["open", { isOpen: true }, {}, all],
    ["open to uploads", { isOpen: true, openUpload: true }, {}, { ...all, mayUpload: true }],
    ["closed", {}, {}, { ok: false, reason: "not_invited" }],
    ["on the list", { allowed: [ADA] }, {}, all],
    ["another is on the list", { allowed: [BEN] }, {}, { ok: false, reason: "not_invited" }],
    ["denied, though open", { isOpen: true, denied: [ADA] }, {}, { ok: false, reason: "denied" }],
    ["denied, though listed", { allowed: [ADA], denied: [ADA] }, {}, { ok: false, reason: "denied" }],
    ["denied, though invited", { denied: [ADA] }, { invitation: secret }, { ok: false, reason: "denied" }],
    ["invited", {}, { invitation: secret }, invited],
    ["invited too late", {}, { invitation: secret, nowMs: 10 }, { ok: false, reason: "expired_invitation" }],
    ["a secret that was made up", {}, { invitation: "x" }, { ok: false, reason: "unknown_invitation" }],
    ["open, with a secret that is no more", { isOpen: true }, { invitation: "x" }, all],
    ["open, with an invitation to more", { isOpen: true }, { invitation: secret }, invited],
    ["on the list, with an invitation to more", { allowed: [ADA] }, { invitation: secret }, invited],
    ["open to uploads, and invited", { isOpen: true, openUpload: true }, { invitation: secret }, {
      ...all,
      mayUpload: true,
    }],
  ];
  for (const [what, { allowed = [], denied = [], ...options }, { nowMs = 0, ...knock }, outcome] of table) {
    const rules = new GuestRules({ primitives, ...options });
    rules.change({ allowed: listed(false, ...allowed), denied: new Set(denied), invitations: [invitation] });
    const judgement = rules.judge({ peerId: ADA, ...knock }, nowMs);
    assertEquals<unknown>(judgement, outcome, what);
    if (judgement.ok) assert(rules.stillHolds(ADA, judgement, nowMs), `${what}, and may stay`);
  }
});

Deno.test("an invitation is used up by those who have come in by it, and tells so once for each", () => {
  const { invitation, secret } = makeInvitation({ maxPeers: 2 }, tools);
  const kept: Invitation[] = [];
  const rules = new GuestRules({ primitives, onUsed: (used) => kept.push(used) });
  rules.change({ invitations: [invitation] });
  const comeIn = (peerId: string) => {
    const judgement = rules.judge({ peerId, invitation: secret }, 0);
    if (judgement.ok) rules.use(peerId, judgement);
    return judgement.ok;
  };
  assertEquals([ADA, ADA, BEN, CAT, BEN].map(comeIn), [true, true, true, false, true]);
  assertEquals(kept.map(({ usedBy }) => usedBy), [[ADA], [ADA, BEN]]);
});

Deno.test("somebody who needs no invitation uses none up", () => {
  const { invitation, secret } = makeInvitation({}, tools);
  const rules = new GuestRules({ primitives, isOpen: true, onUsed: () => assert(false) });
  rules.change({ invitations: [invitation] });
  const judgement = rules.judge({ peerId: ADA, invitation: secret }, 0);
  assert(judgement.ok);
  rules.use(ADA, judgement);
});

Deno.test("who is here may stay for as long as the rules say", () => {
  const { invitation, secret } = makeInvitation({ expiresAtMs: 10 }, tools);
  const rules = new GuestRules({ primitives });
  let changes = 0;
  using _told = rules.subscribe(() => changes++);
  rules.change({ invitations: [invitation], allowed: listed(true, BEN) });
  const [ada, ben] = [rules.judge({ peerId: ADA, invitation: secret }, 0), rules.judge({ peerId: BEN }, 0)];
  assert(ada.ok && ben.ok);
  const staying = (nowMs = 0) => [rules.stillHolds(ADA, ada, nowMs), rules.stillHolds(BEN, ben, nowMs)];
  assertEquals(staying(), [true, true]);
  assertEquals(staying(10), [false, true]);
  rules.change({ allowed: listed(false, BEN) });
  assertEquals(staying(), [true, false]); // it may not put files there any more
  rules.change({ allowed: listed(true, BEN), denied: new Set([ADA, BEN]) });
  assertEquals(staying(), [false, false]);
  rules.change({ denied: new Set(), invitations: [] });
  assertEquals(staying(), [false, true]);
  assertEquals(changes, 4);
});

Deno.test("a list of peers has an id on each line, and remarks", () => {
  const { peers, faults } = parsePeerList(
    `# mine\n${ADA}\n  ${BEN} upload # a friend\n\n${CAT} download\nnobody\n${CAT} upload twice\r\n`,
  );
  assertEquals([...peers], [[ADA, { mayUpload: false }], [BEN, { mayUpload: true }]]);
  assertEquals(faults.map(({ line }) => line), [5, 6, 7]);
});

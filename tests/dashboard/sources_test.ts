/**
 * Dashboards of roles that run: what a supernode's and a base's show, and what is done from there.
 */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { freePort } from "../../testing/program.ts";
import { role as base } from "../../roles/base.ts";
import { FakeHost } from "../../roles/fixtures/fake_host.ts";
import { role as relay } from "../../roles/relay.ts";
import { role as supernode } from "../../roles/supernode.ts";
import { eventually } from "../../testing/waiting.ts";
import { adminAt, openStream, Rig } from "../fixtures/admin_rig.ts";
import { DashboardClient } from "../fixtures/dashboard_client.ts";

/** The address that `culvert admin dashboard` prints there. */
async function dashboardOf(rig: Rig, name: string): Promise<string> {
  const { code, out } = await rig.admin(name, "dashboard");
  assertEquals(code, 0);
  return out.trim();
}

Deno.test("a supernode's dashboard shows its peers, sessions and ways, and does what culvert admin does", async () => {
  await using rig = new Rig();
  const { proxy, exitId, clientId, admin } = await rig.network();
  const url = await dashboardOf(rig, "sn");
  assertMatch(url, new RegExp(`^http://${admin}/#session=[\\w.-]+$`));
  await using page = await DashboardClient.open(url);
  const view = await page.until("a way", ({ routes }) => routes.length === 1);
  const { id: supernodeId, streams } = view.nodes.find(({ kind }) => kind === "supernode")!;
  assertEquals([view.kind, view.title, streams], ["supernode", "Supernode north", 2]);
  assertEquals(view.routes[0]!.via, [clientId, supernodeId, exitId]);
  await eventually("the session is set up", async () => (await page.rows("sessions"))[0]?.state === "active");
  const [session] = await page.rows("sessions");
  assertEquals([session!.clientPeerId, session!.exitPeerId], [clientId, exitId]);
  const rows = await page.rows("peers");
  assertEquals(new Set(rows.map(({ peerId }) => peerId)), new Set([supernodeId, exitId, clientId]));
  assert(rows.find(({ peerId }) => peerId === exitId)!.connectedAtMs! <= Date.now());

  (await openStream(proxy)).close();
  const ended = await page.act({ kind: "end_session", sessionId: session!.sessionId });
  assertEquals(ended, { status: 200, text: `The session ${session!.sessionId} has ended.` });
  const pushed = await page.act({
    kind: "push",
    peerId: exitId,
    order: { kind: "DISCONNECT", payload: { reason: "admin" } },
  });
  assertEquals(pushed, { status: 200, text: `${exitId} has answered: applied.` });
  assertEquals((await page.act({ kind: "push", peerId: exitId, order: { kind: "DANCE" } })).status, 400);
  assertEquals((await page.act({ kind: "drain", supernodeId: "a".repeat(26) })).status, 404);
  assertEquals((await page.act({ kind: "kill_part", name: "exit-1" })).status, 400);
  assertStringIncludes((await page.act({ kind: "drain", supernodeId })).text, "Nobody is let in any more");
  await page.until(
    "it drains",
    ({ nodes }) => nodes.some(({ kind, state }) => kind === "supernode" && state === "draining"),
  );
  assertEquals((await page.act({ kind: "undrain", supernodeId })).status, 200);
  const revoked = await page.act({ kind: "revoke", peerId: clientId, reason: "its key was stolen" });
  assertStringIncludes(revoked.text, `${clientId}`);
  await page.untilLogged(new RegExp(`revoke ${clientId}.*done.*its key was stolen`));
  assertMatch((await rig.admin("sn", "blocks")).out, new RegExp(`\\npeer +${clientId} [^\\n]*its key was`));
  const { audit } = JSON.parse((await rig.admin("sn", "audit", "--json")).out);
  const deeds = audit.map(({ action, outcome }: { action: string; outcome: string }) => `${action} ${outcome}`);
  assertEquals(deeds, ["end_session done", "push done", "drain done", "undrain done", "revoke done"]);
  await rig.stop();
  await page.ended();
});

Deno.test("a supernode tells administrators of its processor, its traffic and its links", async () => {
  await using rig = new Rig();
  const { proxy, exitId } = await rig.network();
  (await openStream(proxy)).close();
  const { traffic, maxStreams } = JSON.parse((await rig.admin("sn", "status", "--json")).out);
  assert(traffic.rxBytes > 0 && traffic.txBytes > 0 && maxStreams > 0);
  const { links } = JSON.parse((await rig.admin("sn", "links", "--json")).out);
  assert(links.some(({ kind, peerId }: { kind: string; peerId: string }) => kind === "peer" && peerId === exitId));
  assertMatch((await rig.admin("sn", "links")).out, new RegExp(`^KIND +PEER .*\\n(.*\\n)?peer +${exitId}`));
});

Deno.test("base's dashboard shows supernodes and relays, and turns away; the same by culvert admin", async () => {
  await using rig = new Rig();
  const { listen, dashboard } = await rig.start(base, "shared", { listen: "127.0.0.1:0", kv: ":memory:" });
  const bases = [`http://${listen}`];
  // In one state directory with base, as on one machine.
  const at = { region: "north", listen: `127.0.0.1:${freePort()}`, base: bases };
  const { supernode: url, dashboard: other } = await rig.start(supernode, "shared", at);
  await rig.start(relay, "relay", { listen: "127.0.0.1:0", region: "south", base: bases });
  const supernodeId = new URL(url!).username;
  assertEquals(await dashboardOf(rig, "shared").then((url) => url.startsWith(other!)), true);
  const found = await adminAt(
    new FakeHost(),
    "--state-dir",
    rig.directory.path("shared"),
    "dashboard",
    "--admin",
    dashboard!,
  );
  await using page = await DashboardClient.open(found.out.trim());
  const view = await page.until("both", ({ nodes }) => nodes.length === 2);
  assertEquals([view.kind, view.nodes.map(({ kind }) => kind).sort()], ["base", ["relay", "supernode"]]);

  const words = ["--admin", dashboard!];
  assertMatch((await rig.admin("shared", "status", ...words)).out, /^base .*\nsupernodes 1\nrelays +1\nblocks +0\n$/);
  assertEquals((await page.act({ kind: "block", supernodeId, reason: "not ours" })).status, 200);
  await page.until(
    "it is blocked",
    ({ nodes }) => nodes.some(({ id, state }) => id === supernodeId && state === "blocked"),
  );
  assertMatch(
    (await rig.admin("shared", "blocks", ...words)).out,
    new RegExp(`\\nsupernode +${supernodeId} .*not ours`),
  );
  assertEquals((await rig.admin("shared", "unblock", supernodeId, ...words)).code, 0);
  await page.untilLogged(new RegExp(`unblock ${supernodeId}: done`));
  assertEquals((await page.act({ kind: "end_session", sessionId: "A".repeat(22) })).status, 400);
  await rig.stop();
  await eventually("nothing says where they were", () => {
    return ![...Deno.readDirSync(rig.directory.path("shared"))].some(({ name }) => name.endsWith("admin.json"));
  });
});

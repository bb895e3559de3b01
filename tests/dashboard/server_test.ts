/** The dashboard's page and its server, as they are, before a network of 10,000 peers. */

import { assert, assertEquals } from "@std/assert";
import { createDashboard } from "../../edge/dashboard/dashboard.ts";
import { TokenGuard } from "../../edge/dashboard/token_guard.ts";
import { FakeSource } from "../../edge/dashboard/fixtures/fake_source.ts";
import { clockOf } from "../../protocol/clock.ts";
import { randomOf } from "../../protocol/random.ts";
import { testInChromium, Visitor } from "../sharing/fixtures/visitor.ts";
import { TOKEN } from "./fixtures/fake_dashboard.ts";

const LARGE = { supernodes: 12, exits: 400, clients: 9500, relays: 88, hasParts: true };
/** Of anything, with room for what is drawn otherwise; there are 10,000. */
const MOST_DRAWN = 400;

testInChromium("Dashboard: of 10,000 peers one finds and kills an exit, and its sessions move", async (program) => {
  const clock = clockOf(globalThis);
  const source = new FakeSource({ clock, ...LARGE });
  using dashboard = createDashboard({
    source,
    clock,
    random: randomOf(crypto),
    guard: new TokenGuard({ token: TOKEN, clock }),
  });
  await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request, { remoteAddr }) => {
    return dashboard.fetch(request, { remoteAddress: remoteAddr.hostname });
  });
  await using visitor = await Visitor.start(program, `http://127.0.0.1:${server.addr.port}/`);
  const page = await visitor.open(`token=${encodeURIComponent(TOKEN)}`);
  await page.locator(".map .spot").first().waitFor();
  assert(await page.locator(".map .spot").count() < MOST_DRAWN);
  assert(await page.locator(".map .way").count() < MOST_DRAWN);

  await visitor.goTo("/peers");
  await page.getByText("1–50 of 10,000").waitFor();
  await page.getByRole("searchbox").fill("exit-77");
  await page.getByRole("button", { name: "exit-77", exact: true }).click();
  await page.getByRole("button", { name: "Kill exit-77" }).click();
  await page.getByText("exit-77 was killed").first().waitFor();
  await page.getByText("Nobody fits").waitFor();
  assertEquals(source.done, [{ kind: "kill_part", name: "exit-77" }]);
  await visitor.goTo("/events");
  await page.getByText(/exit-77/).first().waitFor();
  assertEquals(visitor.complaints, []);
  // The server ends, and takes those who watch with it.
  dashboard[Symbol.dispose]();
  await page.locator(".trouble").filter({ hasText: "Trying again…" }).waitFor();
});

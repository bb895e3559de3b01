/** The dashboard as people meet it: in Chromium, wide and narrow, light and dark, by mouse and by keyboard. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { Page } from "playwright-core";
import { Problem } from "../../edge/problem.ts";
import { eventually } from "../../testing/waiting.ts";
import {
  type DashboardBrowser,
  type DashboardTests,
  DESKTOP,
  PHONE,
  testDashboard,
} from "./fixtures/dashboard_browser.ts";
import { TOKEN } from "./fixtures/fake_dashboard.ts";
import { idOf, largeView, smallView } from "./fixtures/networks.ts";

const paths = ["/", "/charts", "/peers", "/sessions", "/control", "/events"];

const blocked = [{ id: idOf("intruder"), label: idOf("intruder").slice(0, 8), isSupernode: false }];

const EVIL = "<img src=x onerror=pwned=1><script>pwned=1</script>\"'`${1}\u202e";

const loggingIn: DashboardTests = {
  "with the token, once more after a wrong one; the session is the tab's and ends with it": async (browser) => {
    const page = await browser.open("");
    const token = page.getByLabel("Administrators' token");
    await token.fill("a guess");
    await page.keyboard.press("Enter");
    await page.getByRole("alert").filter({ hasText: "the token is not the one" }).waitFor();
    await token.fill(` ${TOKEN} `);
    await page.getByRole("button", { name: "Log in" }).click();
    await page.locator(".spot").first().waitFor();
    assertEquals(browser.site.tokens, ["a guess", TOKEN]);

    await page.reload();
    await page.locator(".spot").first().waitFor();
    assertEquals(browser.site.tokens.length, 2);
    await page.getByRole("button", { name: "Log out" }).click();
    await token.waitFor();
    assertEquals(await page.evaluate("sessionStorage.length"), 0);
    await eventually("nobody watches", () => browser.site.viewers === 0);
    await eventually("the server has heard of it", () => browser.site.ended.length === 1);
  },
  "by a session in the address, which is gone from it at once": async (browser) => {
    const page = await browser.open(`session=${browser.site.session}`);
    await page.locator(".spot").first().waitFor();
    assert(!page.url().includes("session"), page.url());
    assertEquals(browser.site.tokens, []);
  },
  "by the address that was printed, from which the token is gone at once": async (browser) => {
    const page = await browser.logIn();
    assert(!page.url().includes("token"), page.url());
    assertEquals(browser.site.tokens, [TOKEN]);
    // The same address again, in the same tab, is a new login.
    browser.site.session = "session-2";
    await page.evaluate(`location.hash = "token=${encodeURIComponent(TOKEN)}"`);
    await eventually("it has logged in again", () => browser.site.tokens.length === 2);
    await page.locator(".spot").first().waitFor();
    await page.goBack();
    assert(!page.url().includes("token"), page.url());
  },
  "a session that is over leads to logging in again, and from there back to the page": async (browser) => {
    const page = await browser.logIn();
    await browser.goTo("/events");
    browser.site.session = "session-2";
    browser.site.hangUp();
    await page.getByText("Your session is over. Log in again.").waitFor();
    assertEquals(await browser.violations(), []);
    await page.getByLabel("Administrators' token").fill(TOKEN);
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Events", exact: true }).waitFor();
  },
};

const whateverHappens: DashboardTests = {
  "every page shows what it has, wide and narrow, and axe has nothing to say": async (browser) => {
    await lookAtAll(browser, "all");
    for (const path of paths) {
      await browser.goTo(path);
      for (const viewport of [PHONE, DESKTOP]) {
        await browser.page.setViewportSize(viewport);
        assert((await browser.overflowPx()) <= 0, `${path} at ${viewport.width} is too wide`);
      }
    }
  },
  // All but its colours is as in the light.
  "in the dark everything can be read as well": [{ colorScheme: "dark" }, (browser) => lookAtAll(browser, "colors")],
  "a server that does not answer is said to be so, with the time; when it is back all is live again": async (
    browser,
  ) => {
    const { site } = browser;
    const page = await browser.logIn();
    const banner = page.getByText(/does not answer. Trying again… What you see is from \d\d:\d\d:\d\d\./);
    await page.route("**/api/dashboard/watch", (route) => route.abort());
    site.tell({ type: "bye" });
    site.hangUp();
    await banner.waitFor();
    await page.getByText("Not answering").waitFor();
    assert(await page.locator(".spot").count() > 0, "what was known stays");
    assertEquals(await browser.violations(), []);
    site.view = smallView({ title: "culvert up, again" });
    await page.unroute("**/api/dashboard/watch");
    await page.getByText("culvert up, again").waitFor();
    await banner.waitFor({ state: "hidden" });
    await page.getByText("Live", { exact: true }).waitFor();
  },
  "a tab that nobody sees watches nothing, and all is there at once when it is seen again": async (browser) => {
    const { site } = browser;
    const page = await browser.logIn();
    await show(page, "hidden");
    await eventually("nobody watches", () => site.viewers === 0);
    site.view = smallView({ title: "culvert up, meanwhile" });
    await show(page, "visible");
    await page.getByText("culvert up, meanwhile").waitFor();
    assertEquals(site.viewers, 1);
  },
  "what the server says of trouble is said, until it is over": async (browser) => {
    const page = await browser.logIn();
    browser.site.tell({ type: "trouble", text: "The supernode cannot be asked." });
    await page.getByText(/The supernode cannot be asked. What you see is from/).waitFor();
    browser.site.show({});
    await page.getByText("Live", { exact: true }).waitFor();
    browser.site.fail("busy", "Too many watch at present.");
    browser.site.hangUp();
    await page.getByText(/Too many watch at present. Trying again…/).waitFor();
    browser.site.problem = undefined;
    await page.getByText("Live", { exact: true }).waitFor();
  },
  "nothing a stranger chose becomes markup or a script": [{ view: poisoned() }, async (browser) => {
    const page = await browser.logIn();
    browser.site.tell({ type: "log", lines: [{ id: 99, atMs: Date.now(), tone: "bad", text: EVIL }] });
    for (const path of paths) {
      await browser.goTo(path);
      if (path !== "/charts") assertStringIncludes(await page.locator("main").innerText(), "<script>pwned=1</script>");
      assertEquals(await page.locator("main img, main script").count(), 0);
      await page.setViewportSize(PHONE);
      assert((await browser.overflowPx()) <= 0, `${path} is too wide with long names`);
      await page.setViewportSize(DESKTOP);
    }
    await browser.goTo("/");
    await page.locator(".spot.exit").first().click();
    browser.site.act = () => EVIL;
    await page.getByRole("complementary").getByRole("button", { name: /^Kill/ }).click();
    await page.locator(".toast").waitFor();
    assertEquals(await page.evaluate("window.pwned"), undefined);
  }],
};

/** Every page, the panel and a dialog, with axe. */
async function lookAtAll(browser: DashboardBrowser, what: "all" | "colors"): Promise<void> {
  const page = await browser.logIn();
  browser.site.show({ blocked });
  for (const path of paths) {
    await browser.goTo(path);
    assertEquals(await page.locator("h1").count(), 1);
    assertEquals(await browser.violations(what), [], path);
  }
  await browser.goTo("/");
  await browser.spot("exit-1").click();
  await page.getByRole("complementary").getByText("of client-1").waitFor();
  assertEquals(await browser.violations(what), [], "panel");
  await page.getByRole("button", { name: "Revoke exit-1" }).click();
  assertEquals(await browser.violations(what), [], "dialog");
  await page.keyboard.press("Escape");
  await page.keyboard.press("Escape");
}

/** As a browser tells it when another tab is chosen. */
async function show(page: Page, state: "visible" | "hidden"): Promise<void> {
  const value = JSON.stringify({ value: state, configurable: true });
  await page.evaluate(`Object.defineProperty(document, "visibilityState", ${value});
    document.dispatchEvent(new Event("visibilitychange"))`);
}

/** The small network with names that strangers would choose. */
function poisoned() {
  const view = smallView();
  return {
    ...view,
    title: EVIL,
    version: EVIL,
    regions: view.regions.map(() => EVIL),
    nodes: view.nodes.map((node) => ({ ...node, label: EVIL, region: EVIL, part: "exit-1" })),
    groups: view.groups.map((group) => ({ ...group, region: EVIL })),
    blocked: blocked.map((each) => ({ ...each, label: EVIL })),
    parts: view.parts.map((part) => ({
      ...part,
      name: part.name === "exit-1" ? "exit-1" : EVIL,
      role: EVIL,
      region: EVIL,
    })),
  };
}

const deeds: DashboardTests = {
  "a peer is revoked with a reason, and a refusal is said where it was asked": async (browser) => {
    const page = await browser.logIn();
    await browser.spot("client-2").click();
    await page.getByRole("button", { name: "Revoke client-2" }).click();
    const dialog = page.getByRole("dialog", { name: "Revoke client-2?" });
    browser.site.act = () => new Problem("unavailable", "The store cannot be reached at present");
    await dialog.getByLabel("Reason").fill("lost its laptop");
    await dialog.getByRole("button", { name: "Revoke" }).click();
    await dialog.getByText("The store cannot be reached at present").waitFor();
    browser.site.act = () => "client-2 is shut out";
    await dialog.getByRole("button", { name: "Revoke" }).click();
    await dialog.waitFor({ state: "detached" });
    const deed = { kind: "revoke", peerId: idOf("client-2"), reason: "lost its laptop" } as const;
    assertEquals(browser.site.deeds, [deed, deed]);
  },
  "a supernode is drained after a question, and undrained without": async (browser) => {
    const page = await browser.logIn();
    await browser.goTo("/control");
    await page.getByRole("button", { name: "Drain supernode-south" }).click();
    await page.getByRole("button", { name: "Cancel" }).click();
    assertEquals(browser.site.deeds, []);
    await page.getByRole("button", { name: "Drain supernode-south" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Drain" }).click();
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await page.getByRole("button", { name: "Stop draining supernode-east" }).click();
    await eventually("both were done", () => browser.site.deeds.length === 2);
    assertEquals(browser.site.deeds.map(({ kind }) => kind), ["drain", "undrain"]);
  },
  "whoever is blocked is let in again by its line, or by its id, from whichever list it is on": async (browser) => {
    const { site } = browser;
    const page = await browser.logIn();
    await browser.goTo("/control");
    const lines = page.getByRole("listitem").filter({ has: page.getByRole("button", { name: /^Let in again/ }) });
    assertEquals(await lines.count(), 0);
    const [intruder, stranger] = [idOf("intruder"), idOf("stranger")];
    const named = { id: intruder, label: "intruder", isSupernode: false };
    const unknown = { id: stranger, label: stranger.slice(0, 8), isSupernode: false };
    site.show({
      deeds: [...site.view.deeds, "unblock"],
      blocked: [named, unknown],
      totals: { ...site.view.totals, blocked: 5 },
    });
    await page.getByText("And 3 more").waitFor();
    assertEquals(await lines.count(), 2);
    await page.getByRole("button", { name: "Let in again: intruder" }).click();
    await eventually("it is let in", () => site.deeds.length === 1);

    site.act = ({ kind }) => kind === "unblock" ? "It may come again" : new Problem("not_found", "It is not blocked");
    await lines.filter({ hasText: stranger }).getByRole("button").click();
    await page.getByText("It may come again").waitFor();
    site.show({ blocked: [] });
    await lines.first().waitFor({ state: "hidden" });
    await page.getByRole("button", { name: "Let in again…" }).click();
    await page.getByLabel("Peer id").fill(intruder);
    await page.getByRole("button", { name: "Go on" }).click();
    await eventually("all of it was asked for", () => site.deeds.length === 5);
    assertEquals(site.deeds, [
      { kind: "unrevoke", peerId: intruder },
      { kind: "unrevoke", peerId: stranger },
      { kind: "unblock", supernodeId: stranger },
      { kind: "unrevoke", peerId: intruder },
      { kind: "unblock", supernodeId: intruder },
    ]);
  },
  "a command is pushed from its template, once what is wrong with it is right": async (browser) => {
    const page = await browser.logIn();
    await browser.goTo("/control");
    await page.getByRole("button", { name: "Push a command…" }).click();
    await page.getByLabel("Peer id").fill(idOf("exit-1"));
    await page.getByRole("button", { name: "Go on" }).click();
    const dialog = page.getByRole("dialog", { name: "Push a command" });
    await dialog.getByLabel("Kind").selectOption("DISCONNECT");
    await dialog.getByLabel("Payload").fill("{");
    await dialog.getByRole("button", { name: "Push" }).click();
    await dialog.getByText("The payload is not JSON").waitFor();
    await dialog.getByLabel("Payload").fill('{"reason":"admin"}');
    await dialog.getByRole("button", { name: "Push" }).click();
    await dialog.waitFor({ state: "detached" });
    assertEquals(browser.site.deeds, [{
      kind: "push",
      peerId: idOf("exit-1"),
      order: { kind: "DISCONNECT", payload: { reason: "admin" } },
    }]);
  },
  "nothing is offered that cannot be done here": [
    { view: smallView({ deeds: [], parts: [], blocked }) },
    async (browser) => {
      const page = await browser.logIn();
      for (const path of ["/", "/sessions", "/control"]) {
        await browser.goTo(path);
        assertEquals(await page.locator("main .danger").count(), 0, path);
      }
      await page.getByText(idOf("intruder")).waitFor();
      assertEquals(await page.getByRole("button", { name: /^Let in again/ }).count(), 0);
      assertEquals(await page.getByRole("heading", { name: "Parts" }).isVisible(), false);
    },
  ],
};

const rows: DashboardTests = {
  "peers are searched, sorted and turned over by the server, and the address keeps it": [
    { view: largeView() },
    async (browser) => {
      const page = await browser.logIn();
      await browser.goTo("/peers");
      await page.getByRole("button", { name: "Further" }).click();
      await page.getByText("51–100 of 168").waitFor();
      assertMatch(page.url(), /#\/peers\?page=2$/);
      for (const beyond of ["4000", "1e300", "Infinity"]) {
        await browser.goTo("/peers");
        await page.goto(`${browser.site.url}#/peers?page=${beyond}`);
        await page.getByText("151–168 of 168").waitFor();
        assertMatch(page.url(), /#\/peers\?page=4$/);
      }
      await page.getByRole("searchbox").fill("exit eu-west");
      await page.getByText("1–9 of 9").waitFor();
      await page.getByRole("button", { name: "Load" }).click();
      await eventually("it is sorted", () => asked(browser).get("sort") === "-load");
      assertEquals(asked(browser).get("offset"), "0");
      await page.reload();
      await page.getByText("1–9 of 9").waitFor();
      assertEquals(await page.getByRole("columnheader", { name: "Load" }).getAttribute("aria-sort"), "descending");
      await page.getByRole("searchbox").fill("nobody");
      await page.getByText("Nobody fits").waitFor();
    },
  ],
  "a row is looked at beside the table, and from there what belongs to it": async (browser) => {
    const page = await browser.logIn();
    await browser.goTo("/sessions");
    await page.getByRole("button", { name: "exit-1" }).first().click();
    const panel = page.getByRole("complementary");
    await panel.getByText("eu-south").waitFor();
    await panel.getByRole("button", { name: "of client-1" }).click();
    await panel.getByRole("heading", { name: "Session of client-1" }).waitFor();
    await panel.getByText("Active").waitFor();
  },
  "events of trouble can be looked at alone": async (browser) => {
    const page = await browser.logIn();
    await browser.goTo("/events");
    const lines = page.locator(".log li");
    await page.getByLabel("Which events").selectOption("Trouble only");
    assertEquals(await lines.count(), 3);
    await page.getByLabel("Find in events").fill("egress");
    assertEquals(await lines.count(), 1);
    browser.site.tell({
      type: "log",
      lines: [{ id: 50, atMs: Date.now(), tone: "bad", text: "exit-2: egress fails" }],
    });
    await page.getByText("exit-2: egress fails").waitFor();
    assertEquals(await lines.count(), 2);
  },
};

testDashboard("Dashboard: the pages", { ...loggingIn, ...whateverHappens, ...deeds, ...rows });

function asked(browser: DashboardBrowser): URLSearchParams {
  return new URLSearchParams(browser.site.asked.at(-1));
}

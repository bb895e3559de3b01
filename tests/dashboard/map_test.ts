/** The dashboard's map in Chromium: what is drawn, what moves, what is chosen by mouse and by keyboard. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { eventually } from "../../testing/waiting.ts";
import { testDashboard } from "./fixtures/dashboard_browser.ts";
import { idOf, largeView, SMALL_SESSIONS } from "./fixtures/networks.ts";

testDashboard("Dashboard: the map", {
  "an exit is killed with two presses of a button, and its session bends to another": async (browser) => {
    const { site } = browser;
    const page = await browser.logIn();
    const way = page.locator(`.way[data-id="way ${idOf("client-1")} 0"] .line`);
    const before = await way.getAttribute("d");
    const exit = browser.spot("exit-1");
    await exit.click();
    const panel = page.getByRole("complementary", { name: "What was chosen" });
    await panel.getByRole("heading", { name: "exit-1" }).waitFor();
    await panel.getByText("of client-1").waitFor();
    // The panel takes room from the map.
    await browser.overflowPx();
    const place = await exit.getAttribute("style");
    site.act = () => {
      const gone = { state: "gone", at: undefined, sessions: 0 } as const;
      const nodes = site.view.nodes.map((node) => node.label === "exit-1" ? { ...node, ...gone } : node);
      const parts = site.view.parts.map((part) => part.name === "exit-1" ? { ...part, isRunning: false } : part);
      const [first, ...others] = site.view.routes;
      const via = [...first!.via.slice(0, 3), idOf("exit-2")];
      site.show({ nodes, parts, routes: [{ ...first!, via, sessionId: "another" }, ...others.slice(1)] });
      return "exit-1 was killed";
    };
    await panel.getByRole("button", { name: "Kill exit-1" }).click();
    await page.getByText("exit-1 was killed").waitFor();
    assertEquals(site.deeds, [{ kind: "kill_part", name: "exit-1" }]);
    await eventually("the way bends", async () => await way.getAttribute("d") !== before);
    assertEquals(await exit.getAttribute("style"), place, "it stays where it was");
    await panel.getByText("Gone").waitFor();
    // What is gone can be started again from where one was looking.
    await panel.getByRole("button", { name: "Start exit-1" }).waitFor();
    await page.getByRole("listitem").filter({ hasText: "exit-1" }).getByText("Stopped").waitFor();
  },
  "it is walked through without a mouse, and closing the panel leads back": async (browser) => {
    const page = await browser.logIn();
    await page.locator(".spot[tabindex='0']").focus();
    const first = await browser.focused();
    await page.keyboard.press("ArrowRight");
    assert(await browser.focused() !== first);
    await page.keyboard.press("ArrowLeft");
    assertEquals(await browser.focused(), first);
    assertEquals(await page.locator(".spot[tabindex='0']").count(), 1);
    await page.keyboard.press("Enter");
    const panel = page.getByRole("complementary", { name: "What was chosen" });
    await panel.waitFor();
    assertStringIncludes(first, await browser.focused());
    await page.keyboard.press("Escape");
    await panel.waitFor({ state: "hidden" });
    assertEquals(await browser.focused(), first);
  },
  "a way is chosen as its session, and a group leads to the list of its peers": async (browser) => {
    const page = await browser.logIn();
    const way = page.locator(`.way[data-id="way ${idOf("client-1")} 0"] .reach`);
    await way.dispatchEvent("click");
    const panel = page.getByRole("complementary", { name: "What was chosen" });
    await panel.getByRole("button", { name: "End session" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "End session" }).click();
    await page.getByRole("dialog").waitFor({ state: "detached" });
    assertEquals(browser.site.deeds, [{ kind: "end_session", sessionId: SMALL_SESSIONS[0]! }]);
    await browser.spot("214 clients").click();
    await panel.getByRole("link", { name: "List them" }).click();
    await page.getByRole("heading", { name: "Peers" }).waitFor();
    assertEquals(await page.getByRole("searchbox").inputValue(), "client eu-south");
  },
  "its legend has what is on it, and no more": async (browser) => {
    const page = await browser.logIn();
    const words = () => page.getByRole("list", { name: "Legend" }).getByRole("listitem").allInnerTexts();
    const roles = ["Supernode", "Client", "Exit", "Relay", "Way of a session", "Load"];
    assertEquals(await words(), [...roles, "Draining", "Failing"]);
    const states = ["good", "gone", "blocked"] as const;
    const nodes = browser.site.view.nodes.map((node, at) => ({ ...node, state: states[at % 3]!, load: undefined }));
    browser.site.show({ nodes, groups: [], routes: [] });
    await page.getByRole("list", { name: "Legend" }).getByText("Blocked").waitFor();
    assertEquals(await words(), [...roles.slice(0, 4), "Gone", "Blocked"]);
  },
  "as a list it says the same, and what is chosen there is looked at": async (browser) => {
    const page = await browser.logIn();
    await page.getByRole("button", { name: "List", exact: true }).click();
    const row = page.getByRole("row").filter({ hasText: "exit-3" });
    assertMatch(await row.innerText(), /Exit\s+us-east\s+supernode-east\s+Failing\s+95 %/);
    await page.getByRole("button", { name: "214 clients" }).click();
    await page.getByRole("complementary").getByText("too many to draw").waitFor();
    await page.keyboard.press("Escape");
    assertEquals(await browser.focused(), "214 clients");
    await page.reload();
    await page.getByRole("row").filter({ hasText: "exit-3" }).waitFor();
  },
  "of 10,000 peers no more is drawn than is told, and it is drawn anew without being made anew": [
    { view: largeView() },
    async (browser) => {
      const page = await browser.logIn();
      const { nodes, groups } = browser.site.view;
      assertEquals(await page.locator(".map .spot").count(), nodes.length + groups.length);
      await page.evaluate("document.querySelectorAll('.map .spot').forEach((each) => each.dataset.old = 'yes')");
      browser.site.show({ nodes: nodes.slice(0, -1), title: "Supernode elsewhere" });
      await page.getByText("Supernode elsewhere").waitFor();
      assertEquals(await page.locator(".map .spot:not([data-old])").count(), 0);
      assertEquals(await page.locator(".map .spot").count(), nodes.length + groups.length - 1);
    },
  ],
});

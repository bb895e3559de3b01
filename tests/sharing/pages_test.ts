/** The pages as people meet them: in Chromium, wide and narrow, light and dark, by mouse and by keyboard. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Problem } from "../../edge/problem.ts";
import { transferReasons } from "../../protocol/sharing/ledger.ts";
import { ORCHESTRATOR_ID, user, USER_ID } from "./fixtures/orchestrator_records.ts";
import { DESKTOP, PHONE, testPages } from "./fixtures/pages_browser.ts";

const paths = ["/use", "/share", "/account", "/admin", "/admin/accounts", "/admin/payouts", "/admin/audit"];
const nobody = { refreshSession: () => new Problem("unauthorized", "There is no cookie") };

testPages("Pages: signing in", {
  "whoever signs in with a secret is where they wanted to go": [{ answers: nobody }, async (browser) => {
    const page = await browser.open("/share");
    await page.getByLabel("Account").fill(` ${USER_ID.toUpperCase()} `);
    await page.getByLabel("Secret").fill("the secret");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("heading", { name: "Share" }).waitFor();
    await browser.settled();
    assertEquals(browser.site.bodies("logIn"), [{ userId: USER_ID, secret: "the secret", refresh: "cookie" }]);
    assertEquals(browser.site.asked.get("listNodes")?.[0]?.token, "access-1");
  }],
  "a refused sign-in says why, and the form is there to try again": [{ answers: nobody }, async (browser) => {
    browser.site.fail(
      "logIn",
      "login_refused",
      "Cannot log in: account and secret do not fit; the next try counts in 8 s",
    );
    const page = await browser.open("/use");
    await page.getByLabel("Account").fill(USER_ID);
    await page.getByLabel("Secret").fill("wrong");
    await page.keyboard.press("Enter");
    const alert = page.getByRole("alert").filter({ hasText: "the next try counts in 8 s" });
    await alert.waitFor();
    assert(await page.getByRole("button", { name: "Sign in" }).isEnabled());
  }],
  "an invitation opens an account, whose secret is shown before anything else": [
    { answers: nobody },
    async (browser) => {
      const page = await browser.open("/use");
      await page.getByRole("button", { name: "I have an invitation" }).click();
      await page.getByLabel("Invitation").fill("INVITE-1");
      await page.getByLabel("Your name").fill("Eve");
      await page.getByRole("button", { name: "Open account" }).click();
      await page.getByText("s3cret-of-the-account").waitFor();
      await page.getByRole("button", { name: "Copy secret" }).click();
      assertEquals(await page.evaluate("navigator.clipboard.readText()"), "s3cret-of-the-account");
      await page.getByRole("button", { name: "I have kept them" }).click();
      await page.getByRole("heading", { name: "Use", exact: true }).waitFor();
      assertEquals(browser.site.bodies("openAccount"), [{ invitation: "INVITE-1", name: "Eve", refresh: "cookie" }]);
    },
  ],
  "Telegram's answer in the address signs in, once, and is gone from the address": [
    { answers: nobody },
    async (browser) => {
      const widget = { id: 42, first_name: "Zoë", auth_date: 1_700_000_000, hash: "ab".repeat(32) };
      const bytes = new TextEncoder().encode(JSON.stringify(widget));
      const page = browser.page;
      await page.goto(`${browser.site.url}#tgAuthResult=${btoa(String.fromCharCode(...bytes))}`);
      await page.getByRole("heading", { name: "Use", exact: true }).waitFor();
      assertEquals(browser.site.bodies("logInByTelegram"), [{ widget, refresh: "cookie" }]);
      assert(!page.url().includes("tgAuthResult"));

      const initData = "user=%7B%22id%22%3A42%7D&auth_date=1700000000&hash=00";
      await page.goto("about:blank");
      await page.goto(`${browser.site.url}#tgWebAppData=${encodeURIComponent(initData)}&tgWebAppVersion=8.0`);
      await page.getByRole("heading", { name: "Use", exact: true }).waitFor();
      assertEquals(browser.site.bodies("logInByTelegram")[1], { initData, refresh: "cookie" });
    },
  ],
  "an access token that counts no more is refreshed once for all that asked": async (browser) => {
    let refreshes = 0;
    const { refreshSession, getBalance, listApiKeys } = browser.site.answers;
    const fresh = (token: string | undefined) => token === "access-3";
    browser.site.answers.refreshSession = (asked) =>
      Object.assign(refreshSession!(asked) as object, { accessToken: `access-${++refreshes}` });
    const page = await browser.open("/use");
    assertEquals(refreshes, 1);
    const late = new Problem("token_expired", "Cannot answer: the token has expired");
    browser.site.answers.getBalance = (asked) => fresh(asked.token) ? getBalance!(asked) : late;
    browser.site.answers.listApiKeys = (asked) => fresh(asked.token) ? listApiKeys!(asked) : late;
    refreshes = 2;
    await page.getByRole("link", { name: "Account" }).click();
    await page.getByText("Statement export").waitFor();
    assertEquals(refreshes, 3);
  },
  "a sign-in that was revoked leads to signing in again, and so does signing out": async (browser) => {
    const page = await browser.open("/use");
    browser.site.fail("listApiKeys", "unauthorized", "Cannot answer: the token was revoked");
    const { refreshSession } = browser.site.answers;
    browser.site.fail("refreshSession", "unauthorized", "Cannot refresh: this login was revoked");
    await page.getByRole("link", { name: "Account" }).click();
    await page.getByRole("heading", { name: "Sign in" }).waitFor();

    browser.site.answers.refreshSession = refreshSession!;
    await browser.open("/use");
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    assertEquals(browser.site.bodies("logOut").length, 1);
  },
});

testPages("Pages: whatever happens", {
  "every page shows what it has, wide and narrow, and never scrolls sideways": async (browser) => {
    const page = await browser.open("/use");
    for (const viewport of [DESKTOP, PHONE]) {
      await page.setViewportSize(viewport);
      for (const path of paths) {
        await browser.goTo(path);
        assertEquals(await page.locator(".failure").count(), 0, `${path} at ${viewport.width}`);
        assertEquals(await page.locator("h1").count(), 1);
        assert((await browser.overflowPx()) <= 0, `${path} at ${viewport.width} is too wide`);
      }
    }
  },
  "when the API fails every page says so where it hurts, and trying again helps": async (browser) => {
    const whole = { ...browser.site.answers };
    const kept = ["info", "refreshSession"];
    const page = await browser.open("/use");
    for (const path of [...paths.slice(1), "/use"]) {
      for (const id of Object.keys(whole)) {
        if (!kept.includes(id)) browser.site.fail(id, "unavailable", "The store cannot be reached at present");
      }
      await browser.goTo(path);
      assert((await page.locator(".failure").count()) > 0, path);
      assertStringIncludes(
        await page.locator(".failure").first().innerText(),
        "The store cannot be reached at present",
      );
      Object.assign(browser.site.answers, whole);
      while (await page.locator(".failure").count() > 0) {
        await page.locator(".failure").getByRole("button").first().click();
        await browser.settled();
      }
      assertEquals(await page.locator("h1").count(), 1);
    }
  },
  "an orchestrator that is not there is said to be so, and found again": async (browser) => {
    await browser.page.route("**/v1/**", (route) => route.abort());
    const page = await browser.open("/use");
    await page.getByText("The orchestrator cannot be reached").waitFor();
    await browser.page.unroute("**/v1/**");
    await page.getByRole("button", { name: "Try again" }).click();
    await page.getByRole("heading", { name: "Use", exact: true }).waitFor();
  },
  "an account without a role is not shown what it may not do, and may become an operator": async (browser) => {
    const only = (roles: ("user" | "operator")[]) => () => ({
      accessToken: "access-1",
      expiresAtMs: Date.now() + 900_000,
      user: user({ roles }),
    });
    browser.site.answers.refreshSession = only(["user"]);
    const page = await browser.open("/admin");
    assertMatch(page.url(), /#\/use$/);
    assertEquals(await page.getByRole("link", { name: "Admin" }).count(), 0);
    await page.getByRole("link", { name: "Share" }).click();
    browser.site.answers.refreshSession = only(["user", "operator"]);
    await page.getByRole("button", { name: "Start sharing" }).click();
    await page.getByRole("button", { name: "Add a node" }).waitFor();
    assertEquals(browser.site.bodies("changeAccount"), [{ becomeOperator: true }]);
  },
  "nothing a stranger chose becomes markup or a script": async (browser) => {
    const evil = "<img src=x onerror=pwned=1><script>pwned=1</script>\"'`${1}";
    const poison = (value: unknown, key = ""): unknown => {
      if (Array.isArray(value)) return value.map((each) => poison(each, key));
      if (typeof value === "object" && value !== null) {
        return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, poison(each, name)]));
      }
      const free =
        /^(name|label|reason|agent|model|os|destination|note|text|answer|end|detail|actor|subject|title|flags)$/;
      const isWord = transferReasons.some((reason) => reason === value);
      return typeof value === "string" && free.test(key) && !isWord ? evil : value;
    };
    for (const [id, answer] of Object.entries(browser.site.answers)) {
      browser.site.answers[id] = (asked) => {
        const given = answer(asked);
        return given instanceof Response ? given : poison(given);
      };
    }
    const page = await browser.open("/admin/audit");
    for (const path of paths) {
      await browser.goTo(path);
      for (const summary of await page.locator("main summary").all()) await summary.click();
      assertStringIncludes(await page.locator("body").innerText(), "<script>pwned=1</script>");
      assertEquals(await page.locator("main img, main script").count(), 0);
      await page.setViewportSize(PHONE);
      assert((await browser.overflowPx()) <= 0, `${path} is too wide with long names`);
      await page.setViewportSize(DESKTOP);
    }
    await browser.page.getByRole("link", { name: "Payouts" }).click();
    await browser.page.getByRole("button", { name: /^Confirm/ }).click();
    await browser.page.getByRole("dialog").waitFor();
    assertEquals(await browser.page.evaluate("window.pwned"), undefined);
  },
  "a node's page and an appeal can be reached without a mouse": async (browser) => {
    const page = await browser.open("/share");
    await page.keyboard.press("Tab");
    assertEquals(await browser.focused(), "Skip to content");
    await page.getByRole("button", { name: "Appeal" }).focus();
    await page.keyboard.press("Enter");
    await page.getByRole("dialog").waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    assertEquals(await browser.focused(), "Appeal for Cellar rack");
    await page.keyboard.press("Enter");
    await page.getByLabel("What speaks against it").fill("The address is new.\nIt was changed yesterday.");
    await page.getByRole("button", { name: "Send appeal" }).press("Enter");
    await page.getByText("Your appeal was sent").waitFor();
    assertEquals(browser.site.bodies("appeal").map((body) => (body as { text: string }).text), [
      "The address is new. It was changed yesterday.",
    ]);
  },
  "colours are the system's unless one chooses, and the choice stays": [{ colorScheme: "dark" }, async (browser) => {
    const page = await browser.open("/use");
    const back = () => page.evaluate<string>("getComputedStyle(document.documentElement).backgroundColor");
    assertEquals(await back(), "rgb(13, 17, 22)");
    await page.getByRole("button", { name: "Colours: as your system" }).click();
    assertEquals(await back(), "rgb(245, 247, 249)");
    await browser.open("/share");
    assertEquals(await back(), "rgb(245, 247, 249)");
  }],
});

testPages("Pages: what is done on them", {
  "an operator adds a node: the code is shown once, with the line that starts it": async (browser) => {
    const page = await browser.open("/share");
    await page.getByRole("button", { name: "Add a node" }).click();
    await page.getByRole("button", { name: "Make a code" }).click();
    assertEquals(browser.site.bodies("enrolNode"), [], "a name is asked for");
    await page.getByRole("dialog").getByLabel("Name").fill("Attic");
    await page.getByRole("button", { name: "Make a code" }).click();
    await page.getByText("NODE-7KQ2-MX41", { exact: true }).waitFor();
    const line = await page.getByLabel("line", { exact: true }).innerText();
    assertStringIncludes(line, "culvert node");
    assertStringIncludes(line, "NODE-7KQ2-MX41");
    assertStringIncludes(line, ORCHESTRATOR_ID);
    await page.keyboard.press("Escape");
    await page.getByLabel("code", { exact: true }).waitFor({ state: "detached" });
  },
  "a payout is asked for exactly, and not for more than was earned": async (browser) => {
    const page = await browser.open("/share");
    await page.getByRole("button", { name: "Ask for a payout" }).click();
    const amount = page.getByLabel("Amount in EUR");
    assertEquals(await amount.inputValue(), "86.119004");
    await amount.fill("86.119005");
    await page.getByLabel("Where to").fill("DE02 1203");
    await page.getByRole("button", { name: "Ask for it" }).click();
    await page.getByText("You have €86.119004: ask for that at most.").waitFor();
    assertEquals(browser.site.bodies("requestPayout"), []);
    await amount.fill("86.119004");
    await page.getByRole("button", { name: "Ask for it" }).click();
    await page.getByRole("dialog").waitFor({ state: "detached" });
    assertEquals(browser.site.bodies("requestPayout"), [{ amount: "86.119004", destination: "DE02 1203" }]);
  },
  "credentials follow what is chosen, and are copied as they are shown": async (browser) => {
    const page = await browser.open("/use");
    await page.getByLabel("Country").selectOption("de");
    await page.getByLabel("City").selectOption("frankfurt-am-main");
    await page.getByLabel("Session", { exact: true }).fill("a1");
    await page.getByLabel("Session is kept").selectOption("60");
    await page.getByLabel("Fail rather than switch").check();
    await page.getByLabel("Program speaks").selectOption("http");
    const login = `${USER_ID}-country-de-city-frankfurt_am_main-session-a1-ttl-60m-strict`;
    await page.getByRole("button", { name: "Copy user name" }).click();
    assertEquals(await page.evaluate("navigator.clipboard.readText()"), login);
    await page.getByRole("button", { name: "Make a new one" }).click();
    await page.getByRole("button", { name: "Make it" }).click();
    await page.getByText("Keep the secret now").waitFor();
    await page.getByRole("button", { name: "Copy try it" }).click();
    assertEquals(
      await page.evaluate("navigator.clipboard.readText()"),
      `curl --proxy 'http://${login}:new-proxy-secret@proxy.example:1080' https://api.ipify.org`,
    );
    await page.getByLabel("Session", { exact: true }).fill("not-a-session");
    await page.getByText("A session is 1 to 32 letters").waitFor();
  },
  "a top-up goes to the provider's page, and nowhere that is no web page": async (browser) => {
    const page = await browser.open("/use");
    browser.site.answers.topUp = () => ({ url: "javascript:window.pwned=1" });
    await page.getByRole("button", { name: "Top up" }).click();
    await page.getByLabel("Amount in EUR").fill("12.5");
    await page.getByRole("button", { name: "Go to payment" }).click();
    await page.getByText("The provider's address is not one of a web page.").waitFor();
    assertEquals(await page.evaluate("window.pwned"), undefined);
    browser.site.answers.topUp = () => ({ url: "https://pay.example/checkout" });
    await page.route("https://pay.example/**", (route) => route.fulfill({ body: "paying" }));
    await page.getByRole("button", { name: "Go to payment" }).click();
    await page.waitForURL("https://pay.example/checkout");
    assertEquals(browser.site.bodies("topUp").at(-1), { provider: "stripe", amount: "12.5" });
  },
  "money is shown to the last digit, and bytes have a table beside their chart": async (browser) => {
    const page = await browser.open("/use");
    const { getBalance } = browser.site.answers;
    browser.site.answers.getBalance = (asked) => ({
      ...getBalance!(asked) as object,
      available: "900719925474099.300001",
    });
    await browser.open("/use");
    assertEquals(await page.locator(".figure-value").first().innerText(), "€900,719,925,474,099.300001");
    await page.locator(".chart canvas").waitFor();
    await page.getByText("Figures").click();
    assert((await page.getByRole("table", { name: "Bytes over time, down and up" }).getByRole("row").count()) > 20);
    const download = page.waitForEvent("download");
    await page.getByRole("button", { name: "Download the statement as CSV" }).click();
    assertEquals((await download).suggestedFilename(), "statement-client.csv");
  },
  "an admin judges, pays, gives credit once, and learns whether the log is whole": async (browser) => {
    const page = await browser.open("/admin");
    await page.getByRole("button", { name: "Judge Cellar rack" }).click();
    await page.getByText("my provider changed it yesterday").waitFor();
    await page.getByRole("dialog").getByLabel("Standing", { exact: true }).selectOption("good");
    await page.getByRole("dialog").last().getByLabel("Reason").fill("the list was wrong");
    await page.getByLabel("Answer to the appeal").fill("You were right.");
    await page.getByRole("button", { name: "Decide" }).click();
    await page.getByText("Decided").waitFor();
    assertEquals(
      (browser.site.bodies("judgeNode") as { standing: string; answer?: string }[]).map(({ standing, answer }) => [
        standing,
        answer,
      ]),
      [["good", "You were right."]],
    );

    await browser.goTo("/admin/payouts");
    await page.getByRole("button", { name: /^Confirm/ }).click();
    await page.getByText("Look twice: self-dealing").waitFor();
    await page.getByLabel("Number or reference of the payment").fill("SEPA 9");
    await page.getByRole("button", { name: "It was paid" }).click();
    await page.getByRole("dialog").waitFor({ state: "detached" });
    assertEquals(browser.site.bodies("decidePayout"), [{ payoutId: "p-2", decision: "paid", note: "SEPA 9" }]);

    await browser.goTo("/admin/accounts");
    await page.getByRole("button", { name: "Manage Ben Okafor" }).click();
    await page.getByRole("button", { name: "Credit…" }).click();
    browser.site.fail("giveCredit", "unavailable", "The store cannot be reached at present");
    await page.getByLabel("Amount in EUR").fill("0.000001");
    await page.getByRole("dialog").last().getByLabel("Reason").fill("sorry");
    await page.getByRole("button", { name: "Do it" }).click();
    await page.getByText("The store cannot be reached at present").waitFor();
    await page.getByRole("button", { name: "Do it" }).click();
    await browser.settled();
    const ids = (browser.site.bodies("giveCredit") as { id: string }[]).map(({ id }) => id);
    assertEquals(ids.length, 2);
    assertEquals(ids[0], ids[1], "sent again it is the same credit");

    await browser.goTo("/admin/audit");
    assertEquals(await page.getByRole("dialog").count(), 0, "a dialog does not outlive its page");
    browser.site.answers.verifyAudit = () => ({ isWhole: false, entries: 7, detail: "entry 5 was changed" });
    await page.getByRole("button", { name: "Verify" }).click();
    await page.getByText("entry 5 was changed").waitFor();
  },
});

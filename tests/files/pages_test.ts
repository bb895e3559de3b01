/** The pages of a peer server in Chromium, before file servers as they are; only what goes between peers is left out. */

import { Buffer } from "node:buffer";
import { assert, assertEquals } from "@std/assert";
import type { Browser, Page } from "playwright-core";
import { PIECE_BYTES } from "../../protocol/files/tree_hash.ts";
import { eventually } from "../../testing/waiting.ts";
import { DESKTOP, PHONE, testInChromium, Visitor } from "../sharing/fixtures/visitor.ts";
import { OTHER_ID, PeerSite, type PeerSiteOptions } from "./fixtures/peer_site.ts";
import { HOSTILE_NAME } from "./fixtures/shared_folder.ts";

interface Visit {
  readonly site: PeerSite["parts"];
  readonly visitor: Visitor;
  readonly page: Page;
}

type PageTest = (visit: Visit) => Promise<void>;

/**
 * Tests of the pages, each in a browser that has never been there, which must have had nothing to complain of. Those of the same
 * kind of site have it one after the other.
 */
function testPages(
  name: string,
  tests: Readonly<Record<string, PageTest | readonly [PeerSiteOptions, PageTest]>>,
): void {
  testInChromium(name, async (program, test) => {
    await using sites = new AsyncDisposableStack();
    const known = new Map<string, Promise<PeerSite>>();
    for (const [step, given] of Object.entries(tests)) {
      const [options, run] = typeof given === "function" ? [{}, given] as const : given;
      const kind = JSON.stringify(options);
      const starting = known.get(kind) ?? PeerSite.start(options).then((site) => sites.use(site));
      known.set(kind, starting);
      const { parts } = await starting;
      await test.step(step, () => visit(program, parts, run));
    }
  });
}

async function visit(program: Browser, site: PeerSite["parts"], run: PageTest): Promise<void> {
  await using visitor = await Visitor.start(program, site.url);
  await run({ site, visitor, page: visitor.page });
  assertEquals(visitor.complaints, []);
}

/** Names of the entries that are listed, in their order. */
function listed(page: Page): Promise<string[]> {
  return page.locator("a.entry > span").allInnerTexts().then((names) =>
    names.map((name) => name.replace(/,\s*folder$/, "").trim())
  );
}

testPages("Peer pages: finding one's way", {
  "folders and files are gone into and out of, by links and by keys": async ({ visitor, page }) => {
    await visitor.open("");
    assertEquals(await page.title(), "Lena's papers · Culvert");
    await page.getByRole("heading", { name: "Mill papers" }).waitFor();
    assertEquals((await listed(page)).slice(0, 3), ["photos", "plans", "sound"]);

    await page.getByRole("link", { name: "photos" }).focus();
    await page.keyboard.press("ArrowDown");
    assertEquals(await visitor.focused(), "plans, folder");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "plans", level: 1 }).waitFor();
    await visitor.settled();
    assertEquals(await listed(page), ["culvert.md", "measures.csv"]);
    await page.getByRole("link", { name: "measures.csv", exact: true }).click();
    await page.getByText("weir,1.2").waitFor();
    await page.keyboard.press("Backspace");
    await page.getByRole("heading", { name: "plans", level: 1 }).waitFor();
    await page.getByRole("navigation", { name: "Where this is" }).getByRole("link", { name: "Lena's papers" }).click();
    await page.getByRole("heading", { name: "Lena's papers", level: 1 }).waitFor();
  },
  "links in texts are ways on, to files, folders and places in them": async ({ visitor, page }) => {
    await visitor.open("/view/notes.md");
    const waysOn = page.getByRole("navigation", { name: "Where this text leads" });
    assertEquals(await waysOn.getByRole("link").allInnerTexts(), ["plan", "photos"]);
    await waysOn.getByRole("link", { name: "plan" }).click();
    await page.getByRole("heading", { name: "The plan" }).waitFor();
    await page.locator(".markdown").getByRole("link", { name: "notes" }).click();
    await page.getByRole("heading", { name: "Second part" }).waitFor();
    assert(await page.evaluate<boolean>("document.querySelector('#at-second-part') !== null"));
    await waysOn.getByRole("link", { name: "photos" }).click();
    await page.getByRole("heading", { name: "photos", level: 1 }).waitFor();
    await page.getByRole("link", { name: "arch.svg", exact: true }).waitFor();
    assert(page.url().endsWith("#/files/photos/"));
    const record = await visitor.open("/view/notes.md").then(() => page.getByRole("link", { name: "record" }));
    assertEquals(await record.getAttribute("rel"), "noopener noreferrer");
  },
  "lists are sorted by the server, and long ones come in parts": [{ many: 450 }, async ({ visitor, page }) => {
    await visitor.open("/files/many/");
    assertEquals((await listed(page)).length, 200);
    await page.getByText("450 entries").waitFor();
    await page.getByRole("button", { name: "Show more of 450" }).click();
    await page.getByRole("link", { name: "00450.txt", exact: true }).waitFor();
    assertEquals((await listed(page)).length, 450);
    await page.getByRole("button", { name: "Name" }).click();
    await page.locator("th[aria-sort=descending]").waitFor();
    await visitor.settled();
    assertEquals((await listed(page)).slice(0, 2), ["00450.txt", "00449.txt"]);
  }],
  "files are searched for by name, and found in their folders": async ({ visitor, page }) => {
    await visitor.open("");
    await page.keyboard.press("/");
    await page.keyboard.type("uber BACH");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Search: uber BACH" }).waitFor();
    await page.getByText("in photos").waitFor();
    assertEquals(await listed(page), ["Über den Bach.svg"]);
    await visitor.open("/find/nothing of that name");
    await page.getByText("Nothing is called that").waitFor();
  },
  "what changes in the folder shows by itself": async ({ site, visitor, page }) => {
    await visitor.open("");
    Deno.writeTextFileSync(`${site.folder}/brand new.txt`, "new");
    await page.getByRole("link", { name: "brand new.txt", exact: true }).waitFor();
    Deno.removeSync(`${site.folder}/LICENSE`);
    await page.getByRole("link", { name: "LICENSE", exact: true }).waitFor({ state: "detached" });

    const becomes = (state: string) =>
      page.evaluate(`Object.defineProperty(document, "visibilityState", { value: "${state}", configurable: true });
        document.dispatchEvent(new Event("visibilitychange"))`);
    await becomes("hidden");
    await eventually("a page that is not seen listens no more", () => site.server.events.listeners === 0);
    Deno.writeTextFileSync(`${site.folder}/meanwhile.txt`, "new");
    await becomes("visible");
    await page.getByRole("link", { name: "meanwhile.txt", exact: true }).waitFor();
  },
  "what is not there is said to be so, and so is a server that is gone": async ({ visitor, page }) => {
    await visitor.open("/files/nowhere/");
    await page.getByRole("alert").filter({ hasText: "Cannot find it" }).waitFor();
    await visitor.open("");
    await page.route("**/api/files/**", (route) => route.abort());
    await page.getByRole("link", { name: "photos" }).click();
    await page.getByRole("alert").filter({ hasText: "Your peer server cannot be reached" }).waitFor();
    await page.unroute("**/api/files/**");
    await page.getByRole("button", { name: "Try again" }).click();
    await page.getByRole("link", { name: "arch.svg", exact: true }).waitFor();
  },
  "every page fits its screen, wide and narrow": async ({ visitor, page }) => {
    const own = ["", "/view/notes.md", "/view/sound/water.wav", "/find/arch", "/peers"];
    for (const place of [...own, `/peer/${OTHER_ID}/files/`]) {
      await visitor.open(place);
      assertEquals(await page.locator("h1").count(), 1, place);
      for (const viewport of [PHONE, DESKTOP]) {
        await page.setViewportSize(viewport);
        assert(await visitor.overflowPx() <= 0, `${place} at ${viewport.width} is too wide`);
      }
    }
  },
});

testPages("Peer pages: showing files", {
  "a picture is shown, and nothing in it runs": async ({ visitor, page }) => {
    await visitor.open("/view/photos/arch.svg");
    await eventually("the picture is there", () => {
      return page.evaluate<boolean>("document.querySelector('.preview img')?.naturalWidth > 0");
    });
  },
  "sound is played from where one wants, without loading what is before": async ({ visitor, page }) => {
    const ranges: string[] = [];
    page.on("request", (request) => {
      if (request.url().endsWith("water.wav?inline")) ranges.push(request.headers()["range"] ?? "");
    });
    await visitor.open("/view/sound/water.wav");
    const duration = "document.querySelector('audio').duration";
    await eventually("its length is known", async () => await page.evaluate<number>(duration) === 60);
    await page.evaluate("document.querySelector('audio').currentTime = 45");
    await eventually("it is there", () => {
      return page.evaluate<boolean>(
        "(({ seeking, currentTime }) => !seeking && currentTime === 45)(document.querySelector('audio'))",
      );
    });
    assert(ranges.some((range) => range.startsWith("bytes=")), ranges.join());
  },
  "a text is shown as it is, its beginning if it is long, and what is no text is not": async (
    { site, visitor, page },
  ) => {
    Deno.writeTextFileSync(`${site.folder}/long.txt`, "ä line\n".repeat(100_000));
    await visitor.open("/view/long.txt");
    await page.getByText("The first 256 KiB of 781 KiB.").waitFor();
    await visitor.open("/view/LICENSE");
    await page.getByText("Do with it what you like.").waitFor();
    await visitor.open("/view/page.html");
    await page.getByText("<script>intruded('page')</script>").waitFor();
    await visitor.open("/view/archive.tar.zst");
    await page.getByText("There is no preview").waitFor();
    await visitor.open("/view/empty.txt");
    await page.getByText("This file is empty").waitFor();
  },
  "what is known of a file is shown with it, and it can be kept": async ({ site, visitor, page }) => {
    await visitor.open("/view/archive.tar.zst");
    const { root } = site.index.search({ q: "archive", limit: 1 }, "").found[0]!;
    assertEquals(await page.getByLabel("hash", { exact: true }).innerText(), root);
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("link", { name: "Download" }).click(),
    ]);
    assertEquals(download.suggestedFilename(), "archive.tar.zst");
    assertEquals((await Deno.stat(await download.path())).size, 3_000_000);
  },
});

testPages("Peer pages: what others have made up", {
  "names and texts stay text, whatever is in them": async ({ visitor, page }) => {
    await page.addInitScript("globalThis.intruded = (way) => { throw new Error(`intruded by ${way}`) }");
    const elsewhere: string[] = [];
    page.on("request", (request) => {
      if (new URL(request.url()).hostname === "elsewhere.example") elsewhere.push(request.url());
    });
    for (const place of ["", "/find/txt", "/view/notes.md", `/peer/${OTHER_ID}/view/notes.md`]) {
      await visitor.open(place);
      assertEquals(
        await page.locator("img[onerror], script:not([src]), a[href^='javascript:'], a[href^='data:']").count(),
        0,
      );
    }
    await page.getByText("<script>intruded('script')</script>").waitFor();
    await visitor.open(`/view/${encodeURIComponent(HOSTILE_NAME)}`);
    await page.getByRole("heading", { name: HOSTILE_NAME }).waitFor();
    await page.getByText("harmless").waitFor();
    assertEquals(elsewhere, []);
  },
  "a name that turns its letters round is shown for what it is": async ({ visitor, page }) => {
    await visitor.open("");
    assert((await listed(page)).includes("photo\ufffdgnp.exe"));
  },
});

testPages("Peer pages: putting files there", {
  "files are uploaded with their progress, and one that is there is replaced only if one says so": [
    { mayUpload: true },
    async ({ site, visitor, page }) => {
      await visitor.open("/files/plans/");
      const give = (name: string, text: string) =>
        page.locator("input[type=file]").setInputFiles([
          { name, mimeType: "text/plain", buffer: Buffer.from(text) },
        ]);
      const uploads = page.getByRole("list", { name: "Uploads" });
      await give("new plan.txt", "first");
      await uploads.getByText("done").waitFor();
      await page.getByRole("link", { name: "new plan.txt", exact: true }).waitFor();
      assertEquals(Deno.readTextFileSync(`${site.folder}/plans/new plan.txt`), "first");
      const read = () => Deno.readTextFileSync(`${site.folder}/plans/measures.csv`);
      const before = read();
      await give("measures.csv", "second");
      await uploads.getByText("There is a file of this name already.").waitFor();
      assertEquals(read(), before);
      await uploads.getByRole("button", { name: "Replace it" }).click();
      await eventually("it is replaced", () => read() === "second");
    },
  ],
  "files are dropped anywhere on the page, and one that is too large is refused with the reason": [
    { mayUpload: true },
    async ({ site, visitor, page }) => {
      await visitor.open("");
      await page.evaluate(`(() => {
        const dataTransfer = new DataTransfer();
        dataTransfer.items.add(new File(["dropped"], "dropped.txt"));
        dataTransfer.items.add(new File([new Uint8Array(${PIECE_BYTES + 1})], "large.bin"));
        document.body.dispatchEvent(new DragEvent("dragover", { dataTransfer, bubbles: true }));
        document.body.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true }));
      })()`);
      const uploads = page.getByRole("list", { name: "Uploads" });
      await uploads.getByText("done").waitFor();
      await uploads.locator(".bad").waitFor();
      assertEquals(Deno.readTextFileSync(`${site.folder}/dropped.txt`), "dropped");
    },
  ],
  "where nobody may put files there is no way to": async ({ visitor, page }) => {
    await visitor.open("");
    assertEquals(await page.getByRole("button", { name: "Upload" }).count(), 0);
  },
});

testPages("Peer pages: other peers", {
  "peers are listed with the way to them, and their files are browsed as one's own": async (
    { site, visitor, page },
  ) => {
    await page.clock.install();
    await visitor.open("/peers");
    const rows = page.getByRole("row");
    assertEquals(await rows.nth(1).getByRole("link").innerText(), "Mill archive <b>");
    await rows.nth(1).getByText("relayed").waitFor();
    await rows.nth(2).getByText("away").waitFor();
    await page.getByRole("link", { name: "Mill archive <b>" }).click();
    await page.getByRole("heading", { name: "Mill papers" }).waitFor();
    await page.locator(".crumbs").getByText("relayed").waitFor();
    await page.getByRole("link", { name: "photos" }).click();
    await page.getByRole("link", { name: "arch.svg", exact: true }).click();
    await eventually("the picture is there", () => {
      return page.evaluate<boolean>("document.querySelector('.preview img')?.naturalWidth > 0");
    });
    const [, other] = site.peers;
    site.peers[1] = { ...other!, way: "direct", via: "192.0.2.7:4100" };
    await page.clock.fastForward(10_000);
    await page.locator(".crumbs").getByText("direct").waitFor();
  },
  "another peer is given an address on this machine": async ({ visitor, page }) => {
    await visitor.open(`/peer/${OTHER_ID}/files/`);
    await page.getByRole("button", { name: "Local address" }).click();
    await page.getByRole("dialog").getByText("http://127.0.0.1:4567/").waitFor();
    await page.keyboard.press("Escape");
    assertEquals(await visitor.focused(), "Local address");
  },
  "what was sent is listed, and goes on as it happens": async ({ site, visitor, page }) => {
    await visitor.open("/sent");
    await page.getByText("Nobody has taken anything yet").waitFor();
    const sent = { peerId: OTHER_ID, way: "direct", path: "notes.md", bytes: 300, size: 672, isWhole: false } as const;
    site.sent.push({ ...sent, atMs: Date.now() });
    site.server.events.emit("transfer", sent);
    await page.getByRole("row", { name: "notes.md" }).getByText("broken off").waitFor();
  },
  "a guest sees what was shown to them, and nothing of other peers": [
    { guestScope: "plans" },
    async ({ visitor, page, site }) => {
      await page.goto(site.url);
      await visitor.settled();
      await page.getByRole("link", { name: "culvert.md", exact: true }).waitFor();
      assert(page.url().endsWith("#/files/plans/"));
      assertEquals(await page.getByRole("link", { name: "Peers" }).count(), 0);
      await visitor.open("/view/notes.md");
      await page.getByRole("alert").waitFor();
    },
  ],
  "a guest to whom one file was shown sees that file": [
    { guestScope: "plans/measures.csv" },
    async ({ visitor, page, site }) => {
      await page.goto(site.url);
      await visitor.settled();
      await page.getByText("weir,1.2").waitFor();
    },
  ],
});

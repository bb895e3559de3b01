/**
 * The pages' policy as a browser holds it: scripts that are really on the page try to get round it. `page.evaluate` would
 * prove nothing, since what a debugger runs is not the page's.
 */

import { assert, assertEquals } from "@std/assert";
import type { Browser, Route } from "playwright-core";
import { eventually } from "../../testing/waiting.ts";
import { FakeOrchestrator } from "./fixtures/fake_orchestrator.ts";
import { answers } from "./fixtures/orchestrator_answers.ts";
import { testInChromium, Visitor } from "./fixtures/visitor.ts";

const intruder = await Deno.readTextFile(new URL("./fixtures/intruder.js", import.meta.url));

/** What somebody who could write into the document would write. */
const INLINE = `
  <script>document.documentElement.dataset.inline = "ran"</script>
  <script src="https://elsewhere.example/script.js"></script>
  <a id="link" href="javascript:intruded('link')">link</a>
  <img src="/none" onerror="intruded('onerror')">
  <p style="--intruded: yes">text</p>`;

interface Found {
  readonly ran: string[];
  readonly refused: string[];
  readonly inline: string | undefined;
}

/** Visits the pages with an intruder in them; `keepsPolicy`: with the headers they are served with, or without. */
async function intrude(program: Browser, { keepsPolicy }: { readonly keepsPolicy: boolean }): Promise<Found> {
  await using site = new FakeOrchestrator(answers());
  await using visitor = await Visitor.start(program, site.url);
  const { page } = visitor;
  await page.route("https://elsewhere.example/**", (route) => route.fulfill(elsewhere));
  await page.route("**/web/app.js", (route) => route.fulfill({ contentType: "text/javascript", body: intruder }));
  await page.route(site.url, (route) => withInline(route, keepsPolicy));
  await page.goto(site.url);
  await page.locator("html[data-tried=yes]").waitFor();
  const root = page.locator("html");
  const listed = async (name: string) => (await root.getAttribute(`data-${name}`) ?? "").split(" ").filter(Boolean);
  if (keepsPolicy) await eventually("all is refused", async () => (await listed("refused")).length >= REFUSALS.length);
  return {
    ran: await listed("ran"),
    refused: await listed("refused"),
    inline: await root.getAttribute("data-inline") ?? undefined,
  };
}

/** All that must have been refused; some of it the browser tells a moment later. */
const REFUSALS = [
  "Function:EvalError",
  "attribute:TypeError",
  "connect-src:https://elsewhere.example",
  "eval:EvalError",
  "frame-src:https://elsewhere.example",
  "img-src:https://elsewhere.example",
  "innerHTML:TypeError",
  "require-trusted-types-for:trusted-types-sink",
  "script-src-elem:data",
  "script-src-elem:inline",
  "setTimeout:TypeError",
  "style-src-elem:inline",
  "text:TypeError",
  "worker:TypeError",
];

const elsewhere = { contentType: "text/javascript", headers: { "access-control-allow-origin": "*" }, body: "" };

async function withInline(route: Route, keepsPolicy: boolean): Promise<void> {
  const response = await route.fetch();
  const headers = { ...response.headers() };
  for (const name of ["content-encoding", "content-length"]) delete headers[name];
  if (!keepsPolicy) delete headers["content-security-policy"];
  await route.fulfill({ response, headers, body: (await response.text()).replace("<body>", `<body>${INLINE}`) });
}

testInChromium("Pages: the browser refuses what their policy does not name", async (program, test) => {
  await test.step("a script on the page makes no program of text, runs nothing inline, and reaches nobody else", async () => {
    const { ran, refused, inline } = await intrude(program, { keepsPolicy: true });
    assertEquals(ran, []);
    assertEquals(inline, undefined);
    assertEquals(refused, REFUSALS);
  });
  await test.step("and without the policy all of that would have happened", async () => {
    const { ran, inline } = await intrude(program, { keepsPolicy: false });
    assertEquals(inline, "ran");
    for (const way of ["eval", "Function", "inline", "text", "attribute", "style", "fetch", "import"]) {
      assert(ran.includes(way), `${way} is not among ${ran}`);
    }
  });
});

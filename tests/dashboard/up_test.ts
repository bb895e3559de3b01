/**
 * Somebody who has started `culvert up` opens the address that it prints, kills the exit that carries the traffic, and sees the
 * session move to the other one. In Chromium, with everything as it is in use.
 */

import { assert, assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { Program } from "../../testing/program.ts";
import { eventually } from "../../testing/waiting.ts";
import { testInChromium, Visitor } from "../sharing/fixtures/visitor.ts";

const MAIN = fromFileUrl(new URL("../../roles/main.ts", import.meta.url));
const UP: [string, ...string[]] = [Deno.execPath(), "run", "-A", MAIN, "up", "--listen", "127.0.0.1:0", "--json"];

/** Which exit a stream through the proxy comes out of now; undefined when none comes through. */
async function exitOf(proxy: string): Promise<string | undefined> {
  using client = Deno.createHttpClient({ proxy: { url: `http://${proxy}` } });
  try {
    const response = await fetch("http://hello.culvert/", { client });
    return /exit {2,}([a-z2-7]{26})/.exec(await response.text())?.[1];
  } catch {
    return undefined;
  }
}

testInChromium(
  "whoever kills an exit from the dashboard of up sees its session move, and streams go on",
  async (browser) => {
    await using program = new Program(UP, { quiet: true });
    const { addresses } = await program.readJson() as unknown as { readonly addresses: Record<string, string> };
    const proxy = addresses.listen!;
    const before = await exitOf(proxy);
    assert(before !== undefined);
    const { origin, hash } = new URL(addresses.dashboard!);
    await using visitor = await Visitor.start(browser, `${origin}/`);
    const { page } = visitor;

    await page.goto(`${origin}/${hash}`);
    await page.getByRole("button", { name: "Kill exit-1" }).waitFor();
    assertEquals(
      await page.evaluate("location.hash.includes('token')"),
      false,
      "the token does not stay in the address",
    );
    await page.goto(`${origin}/#/sessions`);
    await page.getByRole("row").filter({ hasText: "client" }).filter({ hasText: "exit-1" }).waitFor();

    await page.goto(`${origin}/#/`);
    await page.getByRole("button", { name: "Kill exit-1" }).click();
    await page.getByText("exit-1 is killed.").first().waitFor();
    await page.getByText(/^The session of client moved from exit-1 to exit-2$|^A session of client began at exit-2$/)
      .first().waitFor();
    await page.getByText("Now: client > supernode-north > supernode-south > exit-2").first().waitFor();
    await eventually("streams come out of the other exit", async () => {
      const now = await exitOf(proxy);
      return now !== undefined && now !== before;
    });
    await page.goto(`${origin}/#/sessions`);
    await page.getByRole("row").filter({ hasText: "client" }).filter({ hasText: "exit-2" }).waitFor();

    await page.goto(`${origin}/#/`);
    await page.getByRole("button", { name: "Start exit-1" }).click();
    await page.getByRole("button", { name: "Kill exit-1" }).waitFor();
    assertEquals(visitor.complaints, []);
  },
);

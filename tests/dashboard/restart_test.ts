/**
 * A supernode is killed and started again under the eyes of somebody who watches its dashboard, in Chromium: the page says so,
 * goes on showing what there was, and is live again without another login, since the token is the same.
 */

import { assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { freePort, Program } from "../../testing/program.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { testInChromium, Visitor } from "../sharing/fixtures/visitor.ts";

const MAIN = fromFileUrl(new URL("../../roles/main.ts", import.meta.url));
const TOKEN = "a token that somebody has chosen";

testInChromium(
  "the dashboard says that its supernode does not answer, and is live again when it does",
  async (browser) => {
    using folder = new TempDirectory();
    const [admin, listen] = [`127.0.0.1:${freePort()}`, `127.0.0.1:${freePort()}`];
    const flags = ["--region", "north", "--listen", listen, "--admin-listen", admin, "--no-relay"];
    const start = async () => {
      const program = new Program([
        ...[Deno.execPath(), "run", "-A", MAIN, "supernode", "--json", ...flags] as [string, ...string[]],
        ...["--state-dir", folder.path("state")],
      ], { quiet: true, env: { CULVERT_ADMIN_TOKEN: TOKEN } });
      const { addresses } = await program.readJson() as unknown as { readonly addresses: Record<string, string> };
      assertEquals(addresses.dashboard, `http://${admin}/`);
      return program;
    };
    const first = await start();
    await using visitor = await Visitor.start(browser, `http://${admin}/`);
    const { page } = visitor;
    {
      await using _first = first;
      await page.goto(`http://${admin}/#token=${encodeURIComponent(TOKEN)}`);
      await page.getByText("Supernode north").first().waitFor();
      await page.getByText("Live", { exact: true }).waitFor();
      Deno.kill(first.pid, "SIGKILL");
      await page.getByText(/The supernode does not answer\. Trying again… What you see is from \d\d:\d\d:\d\d\./)
        .waitFor();
      await page.getByText("Supernode north").first().waitFor();
    }
    await using _second = await start();
    await page.getByText("Live", { exact: true }).waitFor();
    await page.getByText(/does not answer/).first().waitFor({ state: "hidden" });
    assertEquals(visitor.complaints.filter((text) => !text.includes("net::ERR_CONNECTION_REFUSED")), []);
  },
);

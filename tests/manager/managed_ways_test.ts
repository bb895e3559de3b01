/** A manager that keeps services up, and a proxy, one of them, that leads streams around the one that is down meanwhile. */

import { assertEquals } from "@std/assert";
import { freePort } from "../../testing/program.ts";
import { findTool, testWith } from "../../testing/requirements.ts";
import { ManagerWorld } from "./fixtures/manager_world.ts";
import { fetchPages, Page } from "./fixtures/sides.ts";

const tools = ["curl", "microsocks"];

for (const policy of ["failover", "balance"] as const) {
  testWith(
    { tools },
    `${policy} over services of a manager: one is killed, no page is missing, and it is back`,
    async () => {
      await using page = new Page(1000);
      const [front, first, second] = [freePort(), freePort(), freePort()].map((port) => `127.0.0.1:${port}`);
      const socks = (at: string) => {
        const [host, port] = at.split(":");
        return `command = ["${findTool("microsocks")}", "-i", "${host}", "-p", "${port}"]\nlisten = ["${at}"]\n`;
      };
      const flags = ["--listen", front!, "--policy", policy];
      for (const at of [first!, second!]) flags.push("--path", `socks5://${at}/?probe=${new URL(page.url).host}`);
      await using world = await ManagerWorld.open({
        first: socks(first!),
        second: socks(second!),
        ways: `role = "proxy"\nflags = ${JSON.stringify(flags)}\nlisten = ["${front}"]\n`,
      });
      for (const name of ["first", "second", "ways"]) {
        await world.until(name, "runs", ({ state }) => state === "running");
      }
      assertEquals(await fetchPages(front!, page.url, 10), 10);
      const { pid } = await world.service("first");
      Deno.kill(pid!, "SIGKILL");
      assertEquals(await fetchPages(front!, page.url, 20), 20);
      await world.until("first", "runs again", (service) => service.state === "running" && service.pid !== pid);
      assertEquals(await fetchPages(front!, page.url, 10), 10);
      assertEquals(await world.stop(), 0);
    },
  );
}

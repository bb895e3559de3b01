/**
 * Deployments of deploy/compose as they are, with traffic through them: `deno task test:image`. Eleven programs start at once.
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { NetLab } from "../../testing/netns.ts";
import { testWith } from "../../testing/requirements.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { eventually } from "../../testing/waiting.ts";
import { type Compose, parseCompose } from "./fixtures/compose.ts";
import { type RunningService, startDeployment } from "./fixtures/deployment.ts";
import { OurImage } from "./fixtures/our_image.ts";

const needs = { root: true, netns: true, tools: ["unshare", "setpriv", "nsenter", "useradd", "curl"] };
const COMPOSE = new URL("../../deploy/compose/", import.meta.url);
const HELLO = ["curl", "--silent", "--max-time", "5", "-x", "socks5h://127.0.0.1:1080", "http://hello.culvert/"];
const PAGE_MS = 60_000;

function composeFile(name: string): Compose {
  return parseCompose(Deno.readTextFileSync(new URL(name, COMPOSE)), { SHARED_FOLDER: "./shared" });
}

async function pageBy({ namespace }: RunningService): Promise<string> {
  let page = "";
  await eventually("the page comes", async () => {
    page = (await namespace.run(HELLO, { mayFail: true })).stdout;
    return page.includes("Hello from the far end");
  }, { limitMs: PAGE_MS });
  return page;
}

testWith(needs, "deployments of deploy/compose do what they are for", async (test) => {
  await using image = await OurImage.build("borrowed");

  await test.step("fragments-personal.yaml carries a page", async () => {
    using folder = new TempDirectory();
    await using lab = await NetLab.open();
    const compose = composeFile("fragments-personal.yaml");
    const services = await startDeployment({ compose, image, lab, folder: folder.path("") });
    const proxy = services.get("proxy")!;
    const page = await pageBy(proxy);
    for (const part of ["a circuit of 2 relays", "gateway"]) assertStringIncludes(page, part);
    assertEquals(await proxy.container.stop(), 0);
  });

  await test.step("files.yaml brings a file from one to the other", async () => {
    using folder = new TempDirectory();
    await using lab = await NetLab.open();
    Deno.mkdirSync(folder.path("shared"));
    Deno.writeTextFileSync(folder.path("shared/letter.txt"), "Dear reader");
    const compose = composeFile("files.yaml");
    const services = await startDeployment({ compose, image, lab, folder: folder.path("") });
    const [giver, taker] = [services.get("giver")!.container, services.get("taker")!.container];
    const { out } = await giver.exec(["culvert", "peer", "share", "letter.txt"]);
    const ticket = /CULVERT:\S+/.exec(out)?.[0];
    assert(ticket, out);
    await taker.exec(["culvert", "peer", "get", ticket, "--out", "/home/taker"]);
    assertEquals((await taker.exec(["cat", "/home/taker/letter.txt"])).out, "Dear reader");
  });

  await test.step("manager.yaml keeps a proxy up", async () => {
    using folder = new TempDirectory();
    await using lab = await NetLab.open();
    Deno.mkdirSync(folder.path("services"));
    Deno.copyFileSync(new URL("services/proxy.toml", COMPOSE), folder.path("services/proxy.toml"));
    const compose = composeFile("manager.yaml");
    const services = await startDeployment({ compose, image, lab, folder: folder.path("") });
    const manager = services.get("manager")!;
    await pageBy(manager);
    assertStringIncludes((await manager.container.exec(["culvert", "manager", "status"])).out, "proxy");
    assertEquals(await manager.container.stop(), 0);
  });
});

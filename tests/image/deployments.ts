/**
 * Deployments of deploy/compose as they are, with traffic through them: `deno task test:image`. Eleven programs start at once.
 */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { NetLab } from "../../testing/netns.ts";
import { testWith } from "../../testing/requirements.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { eventually } from "../../testing/waiting.ts";
import { parseCompose } from "./fixtures/compose.ts";
import { startDeployment } from "./fixtures/deployment.ts";
import { OurImage } from "./fixtures/our_image.ts";

const needs = { root: true, netns: true, tools: ["unshare", "setpriv", "nsenter", "useradd", "curl"] };
const HELLO = ["curl", "--silent", "--max-time", "5", "-x", "socks5h://127.0.0.1:1080", "http://hello.culvert/"];

function composeFile(name: string) {
  return parseCompose(Deno.readTextFileSync(new URL(`../../deploy/compose/${name}`, import.meta.url)), {});
}

testWith(needs, "fragments-personal.yaml carries a page", async () => {
  using folder = new TempDirectory();
  await using image = await OurImage.build("borrowed");
  await using lab = await NetLab.open();
  const compose = composeFile("fragments-personal.yaml");
  const services = await startDeployment({ compose, image, lab, folder: folder.path(".") });
  const { namespace, container } = services.get("proxy")!;
  let page = "";
  await eventually("the page comes", async () => {
    page = (await namespace.run(HELLO, { mayFail: true })).stdout;
    return page.includes("Hello from the far end");
  }, { limitMs: 60_000 });
  for (const part of ["a circuit of 2 relays", "gateway"]) assertStringIncludes(page, part);
  assertEquals(await container.stop(), 0);
});

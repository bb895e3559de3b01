/**
 * Deployments of deploy/compose as they are, with traffic through them: `deno task test:image`. Eleven programs start at once.
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { NetLab } from "../../testing/netns.ts";
import { testWith } from "../../testing/requirements.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { makeTlsCertificate } from "../../testing/tls_certificate.ts";
import { eventually } from "../../testing/waiting.ts";
import { type Compose, parseCompose } from "./fixtures/compose.ts";
import { type DeploymentOptions, type RunningService, startDeployment } from "./fixtures/deployment.ts";
import { OurImage } from "./fixtures/our_image.ts";

const needs = { root: true, netns: true, tools: ["unshare", "setpriv", "nsenter", "useradd", "curl"] };
const COMPOSE = new URL("../../deploy/compose/", import.meta.url);
const HELLO = ["curl", "--silent", "--max-time", "5", "-x", "socks5h://127.0.0.1:1080", "http://hello.culvert/"];
const PAGE_MS = 60_000;
const HOST = "sn.example.org";

function composeFile(name: string, variables: Readonly<Record<string, string>> = {}): Compose {
  return parseCompose(Deno.readTextFileSync(new URL(name, COMPOSE)), variables);
}

/** A folder and a network for one deployment. */
async function openPlace(image: OurImage): Promise<Place> {
  await using opening = new AsyncDisposableStack();
  const folder = opening.use(new TempDirectory());
  const lab = opening.use(await NetLab.open());
  const bridge = await lab.bridge("bridge");
  const opened = opening.move();
  return {
    folder,
    options: { image, lab, bridge, folder: folder.path("") },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

interface Place extends AsyncDisposable {
  readonly folder: TempDirectory;
  readonly options: Omit<DeploymentOptions, "compose">;
}

/** A certificate for `HOST` where vpn-server.yaml looks for one, its key the image's user's. */
async function giveCertificate(folder: TempDirectory): Promise<void> {
  const { keyFile, certFile } = await makeTlsCertificate(folder, "server", { host: `DNS:${HOST}` });
  Deno.mkdirSync(folder.path("secrets"));
  Deno.renameSync(certFile, folder.path("secrets/chain.pem"));
  Deno.renameSync(keyFile, folder.path("secrets/key.pem"));
  Deno.chownSync(folder.path("secrets/key.pem"), 10001, 10001);
}

/** A deployment of one service, which has another name on the bridge. */
function renamed(compose: Compose, name: string): Compose {
  const [service] = Object.values(compose.services);
  return { ...compose, services: { [name]: service! } };
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
    await using place = await openPlace(image);
    const { options } = place;
    const compose = composeFile("fragments-personal.yaml");
    const services = await startDeployment({ ...options, compose });
    const proxy = services.get("proxy")!;
    const page = await pageBy(proxy);
    for (const part of ["a circuit of 2 relays", "gateway"]) assertStringIncludes(page, part);
    assertEquals(await proxy.container.stop(), 0);
  });

  await test.step("files.yaml brings a file from one to the other", async () => {
    await using place = await openPlace(image);
    const { folder, options } = place;
    Deno.mkdirSync(folder.path("shared"));
    Deno.writeTextFileSync(folder.path("shared/letter.txt"), "Dear reader");
    const compose = composeFile("files.yaml", { SHARED_FOLDER: "./shared" });
    const services = await startDeployment({ ...options, compose });
    const [giver, taker] = [services.get("giver")!.container, services.get("taker")!.container];
    const { out } = await giver.exec(["culvert", "peer", "share", "letter.txt"]);
    const ticket = /CULVERT:\S+/.exec(out)?.[0];
    assert(ticket, out);
    await taker.exec(["culvert", "peer", "get", ticket, "--out", "/home/taker"]);
    assertEquals((await taker.exec(["cat", "/home/taker/letter.txt"])).out, "Dear reader");
  });

  await test.step("manager.yaml keeps a proxy up", async () => {
    await using place = await openPlace(image);
    const { folder, options } = place;
    Deno.mkdirSync(folder.path("services"));
    Deno.copyFileSync(new URL("services/proxy.toml", COMPOSE), folder.path("services/proxy.toml"));
    const compose = composeFile("manager.yaml");
    const services = await startDeployment({ ...options, compose });
    const manager = services.get("manager")!;
    await pageBy(manager);
    assertStringIncludes((await manager.container.exec(["culvert", "manager", "status"])).out, "proxy");
    assertEquals(await manager.container.stop(), 0);
  });

  await test.step("transports-server.yaml and transports-client.yaml carry a page by KCP", async () => {
    await using place = await openPlace(image);
    const { options } = place;
    const server = await startDeployment({ ...options, compose: composeFile("transports-server.yaml") });
    const { container, address } = server.get("kcp")!;
    const { out } = await container.exec(["culvert", "kcp", "invite", "alice", "--at", `${address}:4000`]);
    const url = /kcp\+udp:\S+/.exec(out)?.[0];
    assert(url, out);
    const compose = composeFile("transports-client.yaml", { CULVERT_SERVER: url });
    const client = await startDeployment({ ...options, compose: renamed(compose, "client"), firstAddress: 11 });
    await pageBy(client.get("client")!);
    const { out: known } = await server.get("vtcp")!.container.exec(["culvert", "kcp", "clients"]);
    assertStringIncludes(known, "alice");
  });

  await test.step("vpn-server.yaml, vpn-exit.yaml and vpn-client.yaml are a VPN", async () => {
    await using place = await openPlace(image);
    const { folder, options } = place;
    await giveCertificate(folder);
    Deno.copyFileSync(new URL("policy.toml", COMPOSE), folder.path("policy.toml"));
    const variables = { CULVERT_HOST: HOST, CULVERT_REGION: "eu" };
    const trusting = {
      ...options,
      env: { CULVERT_CA_FILE: "/run/ca.pem" },
      mounts: { [folder.path("secrets/chain.pem")]: "/run/ca.pem" },
    };
    const server = composeFile("vpn-server.yaml", variables);
    // Within the server's own network its name is base's, as the file says; elsewhere it leads to the port of the supernode.
    const first = await startDeployment({ ...trusting, compose: server, hosts: { [HOST]: "10.77.0.1" } });
    const { container, address } = first.get("supernode")!;
    const { peerId } = JSON.parse((await container.exec(["culvert", "keys", "--json"])).out);
    const told = { ...variables, CULVERT_SUPERNODE: `https://${peerId}@${HOST}/` };
    const outside = { ...trusting, hosts: { [HOST]: address } };
    await startDeployment({ ...outside, compose: composeFile("vpn-exit.yaml", told), firstAddress: 11 });
    const compose = composeFile("vpn-client.yaml", told);
    const services = await startDeployment({ ...outside, compose, firstAddress: 21 });
    assertStringIncludes(await pageBy(services.get("client")!), "supernode");
  });
});

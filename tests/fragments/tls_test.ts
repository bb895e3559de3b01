/**
 * Fragments as they go over the internet: base, relays and central behind TLS, and relays that want to hear a token.
 */

import { assertEquals } from "@std/assert";
import { parseTarget } from "../../protocol/stream.ts";
import { freePort } from "../../testing/program.ts";
import { untilReachable } from "../../testing/socks_client.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { makeTlsCertificate } from "../../testing/tls_certificate.ts";
import { Processes, type RoleProcess } from "../chaos/fixtures/processes.ts";
import { CheckedTarget, download, upload } from "../fixtures/checked_target.ts";

const HOST = "127.0.0.1";
const TOKEN = "let-me-in-0123456789";
const BYTES = 2_000_000;

/** Base, a central, two upstreams and two downstreams, and proxies by them. */
class TlsNetwork implements AsyncDisposable {
  readonly #processes = new Processes();
  readonly #directory = new TempDirectory();
  readonly #base = `${HOST}:${freePort()}`;
  #trust: string[] = [];
  #count = 0;

  async start(): Promise<void> {
    const { certFile, keyFile } = await makeTlsCertificate(this.#directory, "relays");
    const tls = ["--cert-file", certFile, "--key-file", keyFile];
    this.#trust = ["--ca-file", certFile];
    const policy = this.#directory.path("policy.toml");
    await Deno.writeTextFile(policy, 'allow_addresses = ["loopback"]\n');
    await this.#run("base", ["--listen", this.#base, ...tls]);
    const relay = (role: string, flags: readonly string[]) => {
      const listed = ["--base", `https://${this.#base}`, "--listen", `${HOST}:${freePort()}`];
      return this.#run(role, [...listed, ...tls, ...this.#trust, ...flags]);
    };
    const relays = ["upstream", "upstream", "downstream", "downstream"];
    await Promise.all([
      ...relays.map((role) => relay(role, ["--token", TOKEN])),
      relay("central", ["--egress-policy", policy]),
    ]);
  }

  async startProxy(token: string, query = "") {
    const path = `fragments+https://${token}@${this.#base}/?up=2&down=2&data=1&total=2${query}`;
    const proxy = await this.#run("proxy", ["--listen", `${HOST}:0`, "--path", path, ...this.#trust]);
    return { proxy, at: parseTarget(proxy.addresses["listen"]!)! };
  }

  #run(role: string, flags: readonly string[]): Promise<RoleProcess> {
    return this.#processes.start(role, `${role}-${this.#count++}`, flags);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#processes[Symbol.asyncDispose]();
    this.#directory[Symbol.dispose]();
  }
}

Deno.test("over TLS, with the token that relays want to hear", async (test) => {
  await using target = new CheckedTarget();
  await using network = new TlsNetwork();
  await network.start();
  for (const { name, query } of [{ name: "by WebSocket", query: "" }, { name: "by POST and poll", query: "&post=1" }]) {
    await test.step(name, async () => {
      const { proxy, at } = await network.startProxy(TOKEN, query);
      await untilReachable(at, target.address);
      await download(at, target.address, { bytes: BYTES });
      await upload(at, target.address, { bytes: BYTES });
      await proxy.program.stop();
    });
  }
  await test.step("with another token nothing is reached", async () => {
    const dialled = target.open;
    const { proxy, at } = await network.startProxy("another-token-012345");
    const error = await download(at, target.address, { bytes: 1 }).then(() => undefined, (error) => error);
    assertEquals([error instanceof Error, target.open], [true, dialled]);
    await proxy.program.stop();
  });
});

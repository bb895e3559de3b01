/**
 * An exit and a client as they run, each with its state directory, at a supernode of a few lines.
 */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { FakeSupernode } from "../net/fixtures/fake_supernode.ts";
import type { CommandOrder, SessionOffer } from "../protocol/control/commands.ts";
import type { AuthenticatedPeer } from "../protocol/control/stream_server.ts";
import { encodeBase64Url } from "../protocol/encoding.ts";
import { parseTarget, writeAll } from "../protocol/stream.ts";
import { TempDirectory } from "../testing/temp_directory.ts";
import { role as client } from "./client.ts";
import { role as exit } from "./exit.ts";
import { type RunningRole, startRole } from "./role.ts";

const newId = () => encodeBase64Url(crypto.getRandomValues(new Uint8Array(16)));

/** A fake supernode that sets a session up at whatever exit is there, as a real one does. */
class Network implements AsyncDisposable {
  readonly supernode = new FakeSupernode();
  readonly peers = new Map<string, AuthenticatedPeer>();
  readonly ended: string[] = [];
  readonly #wakes = new Set<() => void>();
  readonly #roles: RunningRole[] = [];
  readonly #directories: TempDirectory[] = [];

  constructor() {
    this.supernode.onAuth = () => this.#changed();
    this.supernode.onLink = () => this.#changed();
    this.supernode.answer = async (request, peer) => {
      const { requestId } = request;
      if (request.what === "exit") {
        const session = await this.setUp(peer.peerId, request.wish.exclude);
        if (session) return { type: "info.response", requestId, what: "exit", session };
        return { type: "info.response", requestId, what: "failed", reason: "no_exit" };
      }
      if (request.what === "end_session") this.ended.push(request.sessionId);
      this.#changed();
      return request.what === "end_session"
        ? { type: "info.response", requestId, what: "end_session" }
        : { type: "info.response", requestId, what: "sessions", sessionIds: [...this.supernode.sessions.keys()] };
    };
  }

  /** Waits until it holds, looked at whenever something happens at the supernode. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await new Promise<void>((resolve) => this.#wakes.add(resolve));
  }

  #changed(): void {
    for (const wake of this.#wakes) wake();
    this.#wakes.clear();
  }

  peer(peerId: string): AuthenticatedPeer {
    return this.supernode.auths.findLast(({ peer }) => peer.peerId === peerId)!.peer;
  }

  /** A session for the client at an exit with a data link. */
  async setUp(clientPeerId: string, exclude: readonly string[] = []): Promise<SessionOffer | undefined> {
    const keys = this.peer(clientPeerId);
    for (const peer of this.supernode.auths.map(({ peer }) => peer)) {
      const { peerId } = peer;
      if (peer.role !== "exit" || exclude.includes(peerId) || !this.supernode.hasLink(peerId)) continue;
      const sessionId = newId();
      const expiresAtMs = Date.now() + 600_000;
      const done = await this.supernode.command(peerId, {
        kind: "SETUP_EXIT",
        commandId: newId(),
        sessionId,
        timeoutMs: 5_000,
        payload: { clientPeerId, clientWireguardKey: keys.wireguardKey, clientProof: keys, expiresAtMs },
      });
      if (done.kind !== "done") continue;
      this.supernode.sessions.set(sessionId, peerId);
      return { sessionId, exit: peer, region: peer.region, expiresAtMs };
    }
    return undefined;
  }

  async startExit(stateDir = this.#newDirectory()): Promise<{ role: RunningRole; peerId: string; stateDir: string }> {
    const { role, peerId } = await this.#start(exit, { region: "there" }, stateDir);
    await this.until(() => this.supernode.hasLink(peerId));
    return { role, peerId, stateDir };
  }

  async startClient(stateDir = this.#newDirectory()): Promise<{ role: RunningRole; peerId: string; proxy: string }> {
    const settings = { listen: "127.0.0.1:0", probeEvery: "100ms", probeTimeout: "500ms" };
    const { role, info, peerId } = await this.#start(client, settings, stateDir);
    return { role, peerId, proxy: info.addresses["listen"]! };
  }

  async #start(role: typeof exit | typeof client, settings: object, stateDir: string) {
    const known = this.supernode.auths.length;
    const config = role.config.parse({ supernode: [this.supernode.setting], ...settings });
    const running = startRole(role as typeof exit, config as never, { stateDir });
    this.#roles.push(running);
    const info = await running.ready;
    await this.until(() => this.supernode.auths.length > known);
    return { role: running, info, peerId: this.supernode.auths[known]!.peer.peerId };
  }

  #newDirectory(): string {
    const directory = new TempDirectory();
    this.#directories.push(directory);
    return directory.path("state");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const role of this.#roles.reverse()) await role[Symbol.asyncDispose]();
    await this.supernode[Symbol.asyncDispose]();
    for (const directory of this.#directories) directory[Symbol.dispose]();
  }
}

/** The page that tells which way it came. */
async function hello(proxy: string): Promise<string> {
  const { host, port } = parseTarget(proxy)!;
  using conn = await Deno.connect({ hostname: host, port });
  await writeAll(conn, new TextEncoder().encode("GET http://hello.culvert/ HTTP/1.0\r\nHost: hello.culvert\r\n\r\n"));
  return await new Response(conn.readable).text();
}

Deno.test("B, D, E: a client's traffic leaves at an exit that no one can reach, and the page names both", async () => {
  await using network = new Network();
  const { peerId: exitId } = await network.startExit();
  const { proxy, peerId: clientId } = await network.startClient();
  const page = await hello(proxy);
  assertMatch(page, /^HTTP\/1\.[01] 200/);
  for (const part of [clientId, exitId]) assertStringIncludes(page, part);
});

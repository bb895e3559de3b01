/**
 * Circuits in a closed network: client, relays and gateway as roles, each with a certificate from the network's owner, or
 * with none that will do.
 */

import { assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { hostPrimitives } from "../../net/host_primitives.ts";
import { parseCertificate } from "../../protocol/certificate.ts";
import { encodeBase64 } from "../../protocol/encoding.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { role as gateway } from "../../roles/gateway.ts";
import { loadIdentity, loadOrCreateIdentity, storeCertificate } from "../../roles/identity_store.ts";
import { role as proxy } from "../../roles/proxy.ts";
import { role as relay } from "../../roles/relay.ts";
import { StateDirectory } from "../../roles/state.ts";
import { eventually } from "../../testing/waiting.ts";
import { primitives, random } from "../fixtures/attacked_supernode.ts";
import { certify, networkPublicKey } from "../fixtures/closed_network.ts";
import { hastyClock as clock, hello, helloAtLast, Network, type Started } from "../fixtures/control_network.ts";

const { signal } = new AbortController();

/** What a role's certificate is good for; those not named here have one for their own role, strangers none. */
type Roles = Readonly<Record<string, string>>;

class ClosedCircuits implements AsyncDisposable {
  readonly #network: Network;
  base = "";

  constructor(roles: Roles = {}) {
    this.#network = new Network({
      clock,
      prepare: async (stateDir, role) => {
        if (role === "stranger") return {};
        if (role !== "base") await enroll(stateDir, roles[role] ?? (role === "proxy" ? "client" : role));
        return { networkPublicKey: encodeBase64(networkPublicKey) };
      },
    });
  }

  async startRelays(): Promise<readonly Started[]> {
    this.base = `http://${(await this.#network.startBase()).addresses["listen"]}`;
    const start = () => this.#network.start(relay, { base: [this.base], listen: "127.0.0.1:0" });
    return [await start(), await start()];
  }

  startGateway(): Promise<Started> {
    return this.#network.start(gateway, { base: [this.base] });
  }

  async startProxy(role = proxy): Promise<string> {
    const path = [`circuit+${this.base}/?hops=2`];
    const { addresses } = await this.#network.start(role, { listen: "127.0.0.1:0", path });
    return addresses["listen"]!;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#network[Symbol.asyncDispose]();
  }
}

async function enroll(stateDir: string, role: string): Promise<void> {
  const state = await StateDirectory.open(stateDir);
  const { identity: { peerId } } = await loadOrCreateIdentity(state, { random, primitives, clock, signal });
  const text = certify({ peerId, nowMs: clock.wallNow(), roles: [role] });
  await storeCertificate(state, parseCertificate(text)!, { clock, signal });
}

Deno.test("client, relays and gateway of a closed network carry traffic between them", async () => {
  await using network = new ClosedCircuits();
  await network.startRelays();
  const { stateDir } = await network.startGateway();
  const page = await helloAtLast(await network.startProxy());
  const { peerId } = (await loadIdentity(await StateDirectory.open(stateDir), hostPrimitives()))!;
  assertStringIncludes(page, peerId);
});

Deno.test("relays of a closed network have no link for who has no certificate", async () => {
  await using network = new ClosedCircuits();
  const relays = await network.startRelays();
  await network.startGateway();
  const stranger = await network.startProxy({ ...proxy, name: "stranger" });
  assertMatch(await hello(stranger), /^HTTP\/1\.[01] 50/);
  const refused = async ({ metrics }: Started) =>
    (await metrics()).includes('circuit_relay_links_refused_total{reason="no_certificate"}');
  await eventually("it was refused", async () => (await Promise.all(relays.map(refused))).includes(true));
});

for (const role of ["relay", "gateway", "proxy"] as const) {
  Deno.test(`a ${role} whose certificate is for another role does not start, and says so`, async () => {
    await using network = new ClosedCircuits({ [role]: "supernode" });
    const starting = async () => {
      await network.startRelays();
      await network.startGateway();
      await network.startProxy();
    };
    const error = await assertRejects(starting, CulvertError);
    assertStringIncludes(error.message, "will not do: wrong_role");
  });
}

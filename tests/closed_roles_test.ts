/**
 * A closed network as it runs: roles with certificates from its owner, and those without.
 */

import { assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { encodeBase64 } from "../protocol/encoding.ts";
import { CulvertError } from "../protocol/errors.ts";
import { loadOrCreateIdentity, storeCertificate } from "../roles/identity_store.ts";
import { parseCertificate } from "../protocol/certificate.ts";
import { StateDirectory } from "../roles/state.ts";
import { primitives, random } from "./fixtures/attacked_supernode.ts";
import {
  badCertificates,
  certify,
  networkPublicKey,
  otherNetworkPublicKey,
  type Terms,
} from "./fixtures/closed_network.ts";
import { hastyClock, hello, Network } from "./fixtures/control_network.ts";

const clock = hastyClock;
const { signal } = new AbortController();
const joining = { networkPublicKey: encodeBase64(networkPublicKey) };

/** Puts a certificate into the state directory, as `culvert enroll --install` does. */
async function enroll(stateDir: string, terms: Partial<Terms> = {}): Promise<void> {
  const state = await StateDirectory.open(stateDir);
  const { identity: { peerId } } = await loadOrCreateIdentity(state, { random, primitives, clock, signal });
  const text = certify({ peerId, nowMs: clock.wallNow(), ...terms });
  await storeCertificate(state, parseCertificate(text)!, { clock, signal });
}

function closedNetwork(): Network {
  return new Network({
    clock,
    async prepare(stateDir, role) {
      if (role !== "base") await enroll(stateDir, { roles: [role] });
      return joining;
    },
  });
}

Deno.test("a closed network carries traffic by way of all of its roles", async () => {
  await using network = closedNetwork();
  const directory = await network.startBase();
  const settings = { base: [`http://${directory.addresses["listen"]}`] };
  const north = await network.startSupernode("north", settings);
  const south = await network.startSupernode("south", settings);
  const { peerId } = await network.startExit(south, "south");
  await network.until(() => network.hasSaid("Base was told", { region: "south", exits: 1 }));
  const { proxy } = await network.startClient(north, { region: "south" });
  const page = await hello(proxy);
  assertMatch(page, /^HTTP\/1\.[01] 200/);
  assertStringIncludes(page, peerId);
});

for (const { name, refusal, make } of badCertificates) {
  if (refusal === "wrong_peer") continue; // which `--install` refuses
  Deno.test(`a supernode with ${name} does not start, and says why`, async () => {
    await using network = new Network({
      clock,
      async prepare(stateDir) {
        const state = await StateDirectory.open(stateDir);
        const { identity: { peerId } } = await loadOrCreateIdentity(state, { random, primitives, clock, signal });
        const text = make(peerId, clock.wallNow());
        if (text) await storeCertificate(state, parseCertificate(text)!, { clock, signal });
        return joining;
      },
    });
    const error = await assertRejects(() => network.startSupernode("north"), CulvertError);
    const why = refusal === undefined || refusal === "wrong_network" ? "got none" : `will not do: ${refusal}`;
    assertMatch(error.message, /^Cannot join the network: .* must hold a certificate of the network/);
    assertStringIncludes(error.message, why);
  });
}

Deno.test("a renewed certificate is shown to others without a restart, and one of no use is not taken", async () => {
  await using network = closedNetwork();
  const directory = await network.startBase();
  const settings = { base: [`http://${directory.addresses["listen"]}`] };
  const here = await network.startSupernode("north", settings);
  const exit = await network.startExit(here, "north");
  const { proxy } = await network.startClient(here);
  assertStringIncludes(await hello(proxy), exit.peerId);
  await enroll(exit.stateDir, { roles: ["client"] });
  await network.until(() => network.hasSaid("The certificate for the network is of no use: the one before stays"));
  const opened = () => network.count("The control stream is open");
  const renewed = () => network.count("The certificate for the network was renewed");
  const told = () => network.count("Base was told");
  const streams = opened();
  await enroll(exit.stateDir, { roles: ["exit"], notAfterMs: clock.wallNow() + 1_000_000 });
  await network.until(() => opened() > streams);
  await enroll(here.stateDir, { roles: ["supernode"], notAfterMs: clock.wallNow() + 2_000_000 });
  await network.until(() => renewed() === 2);
  const reports = told();
  await network.until(() => told() > reports);
  assertStringIncludes(await hello(proxy), exit.peerId);
});

Deno.test("a peer of another network is told that its certificate will not do", async () => {
  await using network = new Network({
    async prepare(stateDir, role) {
      const isOfOtherNetwork = role === "client";
      await enroll(stateDir, { isOfOtherNetwork });
      return isOfOtherNetwork ? { networkPublicKey: encodeBase64(otherNetworkPublicKey) } : joining;
    },
  });
  const here = await network.startSupernode("north");
  await network.startClient(here);
  await network.until(() =>
    network.hasSaid("The supernode does not take our certificate", { refusal: "wrong_network" })
  );
  assertStringIncludes(await here.metrics(), 'stream_auth_failures_total{reason="bad_certificate"} 1');
});

/**
 * What a client of a network does before there is one; a network that is there: `tests/npm/package_test.ts`, and the
 * roles' own tests for what both are made of.
 */

import { assertEquals, assertRejects } from "@std/assert";
import { CulvertError, DialError } from "../protocol/errors.ts";
import { generateSecrets, Identity } from "../protocol/identity.ts";
import { randomOf } from "../protocol/random.ts";
import { FakeClock } from "../testing/fake_clock.ts";
import { hostPrimitives } from "./host_primitives.ts";
import { type NetworkOptions, openNetwork } from "./network_path.ts";

const random = randomOf(crypto);
const identity = new Identity(generateSecrets(random), hostPrimitives());
const { peerId } = identity;
const TARGET = { host: "target.example", port: 80 };

Deno.test("a dial gives up when no supernode can be reached, and the next one tries again", async () => {
  const clock = new FakeClock();
  // Connections come in there, and nobody says a word.
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const supernode = `http://${peerId}@127.0.0.1:${listener.addr.port}`;
  await using network = await openNetwork({ supernodes: [supernode], clock, random });
  for (let attempt = 1; attempt <= 2; attempt++) {
    const dial = assertRejects(() => network.dial(TARGET), DialError, "no supernode has offered an exit");
    const atMs = clock.now();
    assertEquals((await clock.runUntil(dial, 15_300)).code, "path_down");
    assertEquals(clock.now() - atMs >= 15_000, true);
  }
});

const wrong: readonly { readonly name: string; readonly options: Partial<NetworkOptions>; readonly code: string }[] = [
  { name: "no supernode", options: { supernodes: [] }, code: "bad_option" },
  { name: "no URL", options: { supernodes: ["supernode"] }, code: "bad_url" },
  { name: "no peer id", options: { supernodes: ["https://host/"] }, code: "bad_url" },
  { name: "what is no peer id", options: { supernodes: ["https://somebody@host/"] }, code: "bad_url" },
  { name: "a password", options: { supernodes: [`https://${peerId}:secret@host/`] }, code: "bad_url" },
  { name: "a path", options: { supernodes: [`https://${peerId}@host/control`] }, code: "bad_url" },
  { name: "a query", options: { supernodes: [`https://${peerId}@host/?region=eu`] }, code: "bad_url" },
  { name: "another scheme", options: { supernodes: [`ftp://${peerId}@host/`] }, code: "bad_url" },
  {
    name: "a network key of another length",
    options: { networkPublicKey: new Uint8Array(31), identity, certificate: () => "" },
    code: "bad_option",
  },
  {
    name: "a closed network and no identity",
    options: { networkPublicKey: new Uint8Array(32), certificate: () => "" },
    code: "bad_option",
  },
  {
    name: "a closed network and no certificate",
    options: { networkPublicKey: new Uint8Array(32), identity },
    code: "bad_option",
  },
];

for (const { name, options, code } of wrong) {
  Deno.test(`a network is not opened with ${name}`, async () => {
    const supernodes = [`https://${peerId}@host/`];
    const opening = () => openNetwork({ supernodes, clock: new FakeClock(), random, ...options });
    assertEquals((await assertRejects(opening, CulvertError)).code, code);
  });
}

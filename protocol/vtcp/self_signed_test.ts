import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { portablePrimitives } from "../primitives.ts";
import { anchorPem, selfSigned } from "./self_signed.ts";

const NAME = "c0ffee.culvert.invalid";
const secret = (fill: number) => new Uint8Array(32).fill(fill);
const [one, other] = [7, 8].map((fill) => selfSigned(portablePrimitives, secret(fill), NAME)) as [
  ReturnType<typeof selfSigned>,
  ReturnType<typeof selfSigned>,
];

async function connects(anchor: string, serverName: string): Promise<string> {
  using resources = new DisposableStack();
  const endpoint = new Deno.QuicEndpoint({ hostname: "127.0.0.1", port: 0 });
  resources.defer(() => endpoint.close());
  const listener = endpoint.listen({ cert: one.certificatePem, key: one.keyPem, alpnProtocols: ["x"] });
  resources.defer(() => listener.stop());
  const accepted = listener.accept().catch(() => undefined);
  const near = new Deno.QuicEndpoint({ hostname: "127.0.0.1", port: 0 });
  resources.defer(() => near.close());
  const connection = await Deno.connectQuic({
    endpoint: near,
    hostname: "127.0.0.1",
    port: endpoint.addr.port,
    serverName,
    alpnProtocols: ["x"],
    caCerts: [anchor],
  });
  connection.close();
  (await accepted)?.close();
  return "connected";
}

Deno.test("who has the key is trusted, by an anchor made of the key alone", async () => {
  assertEquals(await connects(anchorPem(one.publicKey, NAME), NAME), "connected");
});

Deno.test("another key under the same name is not trusted", async () => {
  await assertRejects(() => connects(anchorPem(other.publicKey, NAME), NAME), Error, "invalid peer certificate");
});

Deno.test("the same key under another name is not trusted", async () => {
  await assertRejects(() => connects(anchorPem(one.publicKey, NAME), "other.invalid"), Error, "invalid peer");
});

Deno.test("OpenSSL reads the certificate, and finds its signature good", async () => {
  const file = await Deno.makeTempFile({ suffix: ".pem" });
  try {
    await Deno.writeTextFile(file, one.certificatePem);
    const run = async (...args: string[]) => {
      const { success, stdout, stderr } = await new Deno.Command("openssl", { args }).output();
      assert(success, new TextDecoder().decode(stderr));
      return new TextDecoder().decode(stdout);
    };
    assertMatch(await run("verify", "-check_ss_sig", "-CAfile", file, file), /OK/);
    const text = await run("x509", "-in", file, "-noout", "-text");
    assertMatch(text, /Public Key Algorithm: ED25519/i);
    assertMatch(text, /DNS:c0ffee\.culvert\.invalid/);
    assertMatch(text, /CA:FALSE/);
  } finally {
    await Deno.remove(file);
  }
});

Deno.test("a key of another length is refused", () => {
  assertThrows(() => anchorPem(new Uint8Array(31), NAME), RangeError, "it must be 32 bytes, got 31");
});

/**
 * `culvert kcp secret`: makes what the two ends must share. A passphrase for kcptun, paqet and GFK; a server's key or a
 * client's secret for our own dialect, and of both the credential that the client is given.
 */

import { z } from "zod";
import { openSealCrypto } from "../../net/seal_crypto.ts";
import { encodeBase64Url } from "../../protocol/encoding.ts";
import { CulvertError } from "../../protocol/errors.ts";
import {
  drawSecretText,
  formatCredential,
  parseNamedSecret,
  parseServerKey,
} from "../../protocol/sealed_packets/credentials.ts";
import { secret } from "../fields.ts";
import type { RoleContext } from "../role.ts";

const PASSPHRASE_BYTES = 32;

export const secretConfig = z.object({
  kind: z.enum(["client", "server", "passphrase"]).default("client").describe("What to make.")
    .meta({ positional: true, placeholder: "kind" }),
  name: z.string().optional().describe("client: what the server calls it.").meta({ placeholder: "name" }),
  serverKey: secret().optional()
    .describe("client: the server's key, so that its credential can be told. Best given as CULVERT_SERVER_KEY."),
});
export type SecretConfig = z.output<typeof secretConfig>;

type SecretContext = Pick<RoleContext, "random" | "json" | "print">;

export async function runSecret(config: SecretConfig, context: SecretContext): Promise<void> {
  const made = await makeSecret(config, context);
  if (context.json) return context.print(JSON.stringify(Object.fromEntries(made.map(({ key, text }) => [key, text]))));
  const width = Math.max(...made.map(({ label }) => label.length));
  for (const { label, text } of made) context.print(made.length === 1 ? text : `${label.padEnd(width)}  ${text}`);
}

interface Made {
  readonly key: string;
  readonly label: string;
  readonly text: string;
}

async function makeSecret({ kind, name, serverKey }: SecretConfig, { random }: SecretContext): Promise<Made[]> {
  if (kind !== "client" && (name ?? serverKey) !== undefined) {
    throw new CulvertError(
      "bad_option",
      `Cannot make a secret: --name and --server-key are for a client's, not a ${kind}`,
    );
  }
  if (kind === "passphrase") {
    return [{ key: "passphrase", label: "passphrase", text: random.fill(new Uint8Array(PASSPHRASE_BYTES)).toHex() }];
  }
  using crypto = await openSealCrypto();
  if (kind === "server") {
    const text = drawSecretText(random);
    const { publicKey } = parseServerKey(crypto, text);
    return [
      { key: "serverKey", label: "server's key, for the server alone", text },
      { key: "serverPublicKey", label: "its public key", text: encodeBase64Url(publicKey) },
    ];
  }
  const text = `${name ?? "client"}=${drawSecretText(random)}`;
  const { secret } = parseNamedSecret(text);
  const line: Made = { key: "client", label: "for the server's list", text };
  if (serverKey === undefined) return [line];
  const { publicKey } = parseServerKey(crypto, serverKey);
  const credential = formatCredential({ serverPublicKey: publicKey, secret });
  return [line, { key: "credential", label: "for the client", text: credential }];
}

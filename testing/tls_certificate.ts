/**
 * Certificates for TLS, made by `openssl` for one test. They sign themselves, so whoever trusts one trusts only it.
 */

import { assert } from "@std/assert";
import type { TempDirectory } from "./temp_directory.ts";

/** The files, and what is in them, in PEM. */
export interface TlsCertificate {
  readonly certFile: string;
  readonly keyFile: string;
  readonly cert: string;
  readonly key: string;
}

/** For 127.0.0.1, or for the host named. `name` is that of the files and of the subject. */
export async function makeTlsCertificate(
  folder: TempDirectory,
  name: string,
  { host = "IP:127.0.0.1,DNS:localhost" }: { readonly host?: string } = {},
): Promise<TlsCertificate> {
  const [certFile, keyFile] = [folder.path(`${name}.crt`), folder.path(`${name}.key`)];
  const { success, stderr } = await new Deno.Command("openssl", {
    args: [
      ..."req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2".split(" "),
      ...["-subj", `/CN=${name}`, "-addext", `subjectAltName=${host}`, "-addext", "basicConstraints=critical,CA:FALSE"],
      ...["-keyout", keyFile, "-out", certFile],
    ],
  }).output();
  assert(success, new TextDecoder().decode(stderr));
  return { certFile, keyFile, cert: await Deno.readTextFile(certFile), key: await Deno.readTextFile(keyFile) };
}

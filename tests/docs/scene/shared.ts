/**
 * What the machines of a story have in common: the folder they work in, the names of each other, and certificates for
 * these by an authority that they trust.
 *
 *   shared/files         chain.pem, key.pem, and the story's own files
 *   shared/hosts         /etc/hosts of each
 *   shared/etc           laid over /etc of each
 *   shared/certificates  ours.pem, the authority
 */

import { assert } from "@std/assert";
import { fromFileUrl } from "@std/path";
import type { TempDirectory } from "../../../testing/temp_directory.ts";

const CHECKOUT = fromFileUrl(new URL("../../../", import.meta.url)).replace(/\/$/, "");

/** Deno's cache is the reader's own, and may not be open to another user: what it needs is copied, once for all stories. */
const CACHED = ["npm", "v8_code_cache_v2", "node_analysis_cache_v2", `gen/file${CHECKOUT}`];

export interface SharedOptions {
  /** The address of each name. */
  readonly hosts: ReadonlyMap<string, string>;
  /** What certificates are for besides. */
  readonly addresses: readonly string[];
  readonly files: Readonly<Record<string, string>>;
}

export async function makeShared(folder: TempDirectory, { hosts, addresses, files }: SharedOptions): Promise<void> {
  for (const name of ["", "files", "certificates", "etc/letsencrypt/live", "orders"]) {
    await Deno.mkdir(folder.path(name), { recursive: true });
  }
  await Deno.chmod(folder.path(""), 0o755);
  const lines = [...hosts].map(([name, address]) => `${address} ${name}`);
  await Deno.writeTextFile(folder.path("hosts"), ["127.0.0.1 localhost", "::1 localhost", ...lines, ""].join("\n"));
  await makeCertificates(folder, [...hosts.keys()], addresses);
  for (const [name, text] of Object.entries(files)) await Deno.writeTextFile(folder.path(`files/${name}`), text);
  await shell(`chown -R 1000:1000 "$1/files"`, folder.path(""));
}

/** A cache of Deno's that every user may write to. */
export async function copyDenoCache(to: string): Promise<void> {
  const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["info", "--json"] }).output();
  const { denoDir } = JSON.parse(new TextDecoder().decode(stdout)) as { denoDir: string };
  const copies = CACHED.map((name) =>
    `[ ! -e "$1/${name}" ] || { mkdir -p "$2/${name}"; rmdir "$2/${name}"; cp -r "$1/${name}" "$2/${name}"; }`
  );
  await shell(['mkdir -p "$2"', ...copies, 'chmod -R a+rwX "$2"'].join("; "), denoDir, to);
}

/** chain.pem and key.pem in the folder that all work in, and the same for each name where certbot keeps them. */
async function makeCertificates(
  folder: TempDirectory,
  names: readonly string[],
  addresses: readonly string[],
): Promise<void> {
  const subjects = [
    ...["localhost", ...names].map((name) => `DNS:${name}`),
    ...["127.0.0.1", ...addresses].map((address) => `IP:${address}`),
  ];
  await Deno.writeTextFile(folder.path("names.conf"), `subjectAltName=${subjects.join(",")}\n`);
  await shell(
    `cd "$1"; shift
    key() { openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:prime256v1 -out "$1"; }
    key authority.key; key files/key.pem
    openssl req -x509 -new -key authority.key -days 2 -subj /CN=authority -out certificates/ours.pem
    openssl req -new -key files/key.pem -subj /CN=story |
      openssl x509 -req -days 2 -CA certificates/ours.pem -CAkey authority.key -extfile names.conf -out files/chain.pem
    for name; do
      mkdir -p etc/letsencrypt/live/$name
      cp files/chain.pem etc/letsencrypt/live/$name/fullchain.pem
      cp files/key.pem etc/letsencrypt/live/$name/privkey.pem
      chmod 600 etc/letsencrypt/live/$name/privkey.pem
    done`,
    folder.path(""),
    ...names,
  );
}

async function shell(script: string, ...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command("sh", { args: ["-ec", script, "sh", ...args], stdout: "null" })
    .output();
  assert(success, new TextDecoder().decode(stderr));
}

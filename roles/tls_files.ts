/**
 * The certificate and key that a role serves TLS with, from two files that are followed while it runs: whoever renews
 * them need not restart anything.
 *
 * While only one of the two is new they do not fit together; then, as whenever they are of no use, what was there before
 * stays, and the log says so once.
 */

import { createPrivateKey, X509Certificate } from "node:crypto";
import type { z } from "zod";
import type { Clock } from "../protocol/clock.ts";
import { messageOf } from "../protocol/errors.ts";
import type { Log } from "../protocol/log.ts";
import { ConfigError } from "./config.ts";
import { filePath } from "./fields.ts";
import { readPem } from "./pem_file.ts";
import { LOOK_EVERY_MS, repeat } from "./repeating.ts";

export const tlsFlags = {
  certFile: filePath().optional().describe("The certificate chain for TLS, in PEM; needs --key-file."),
  keyFile: filePath().optional().describe("The certificate's private key, in PEM."),
};

export type TlsSettings = z.output<z.ZodObject<typeof tlsFlags>>;

/** Both in PEM. */
export interface TlsPair {
  readonly cert: string;
  readonly key: string;
}

/** The pair the settings name, or undefined if they name none. `action` is such as "start base". */
async function readTls({ certFile, keyFile }: TlsSettings, action: string): Promise<TlsPair | undefined> {
  if (certFile === undefined && keyFile === undefined) return undefined;
  if (certFile === undefined || keyFile === undefined) {
    throw new ConfigError(action, ["--cert-file and --key-file must be given together, got one"]);
  }
  return {
    cert: await readPem(certFile, { flag: "--cert-file", action }),
    key: await readPem(keyFile, { flag: "--key-file", action }),
  };
}

/** The same, and sure to fit together. */
export async function readFittingTls(settings: TlsSettings, action: string): Promise<TlsPair | undefined> {
  const tls = await readTls(settings, action);
  try {
    if (tls) requireFit(tls);
  } catch (error) {
    throw new ConfigError(action, [`--cert-file and --key-file are of no use: ${messageOf(error)}`]);
  }
  return tls;
}

export interface FollowTlsOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** What is served now. */
  readonly current: TlsPair;
  /** Called with a pair that fits together, whenever there is a new one. */
  readonly onChange: (pair: TlsPair) => void;
}

/** Follows the files until disposed. */
export function followTls(settings: TlsSettings, options: FollowTlsOptions): Disposable {
  const { clock, log, onChange } = options;
  let { current } = options;
  return repeat({
    clock,
    everyMs: LOOK_EVERY_MS,
    async look(signal) {
      const pair = await readTls(settings, "renew the certificate");
      if (signal.aborted || !pair || (pair.cert === current.cert && pair.key === current.key)) return;
      requireFit(pair);
      onChange(pair);
      current = pair;
      log.info("The certificate was renewed");
    },
    onProblem: (error) => log.warn("The certificate could not be renewed: the one before stays", { error }),
  });
}

/** A server takes a pair that does not fit and then fails every handshake, so this is asked before. */
function requireFit({ cert, key }: TlsPair): void {
  if (new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))) return;
  throw new Error("the key in --key-file must be that of the certificate in --cert-file");
}

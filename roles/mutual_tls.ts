/**
 * Mutual TLS, for those who want it beside signatures: whoever connects to base, or to a supernode's port for other
 * supernodes, has to show a TLS certificate that an authority of the operator's has signed.
 *
 *   --client-ca-file     the server's half: whom to let in
 *   --client-cert-file,  the client's half: what is shown to servers that ask
 *   --client-key-file
 *
 * It keeps strangers from the API altogether; who is who, the signatures say as before.
 */

import type { z } from "zod";
import type { Fetch } from "../net/signed_http.ts";
import type { RoleContext } from "./role.ts";
import { ConfigError } from "./config.ts";
import { filePath } from "./fields.ts";
import { readPem } from "./pem_file.ts";
import { LOOK_EVERY_MS, repeat } from "./repeating.ts";

export const clientCaFlags = {
  clientCaFile: filePath().optional()
    .describe("Let only those connect whose TLS certificate one of these has signed, in PEM; needs --cert-file."),
};

export const callerFlags = {
  caFile: filePath().optional().describe("Certificates to trust beside the usual ones, in PEM."),
  clientCertFile: filePath().optional()
    .describe("A TLS certificate to show to servers that ask for one, in PEM; needs --client-key-file."),
  clientKeyFile: filePath().optional().describe("That certificate's private key, in PEM."),
};

export type ClientCaSettings = z.output<z.ZodObject<typeof clientCaFlags>>;
export type CallerSettings = z.output<z.ZodObject<typeof callerFlags>>;

/** The authorities that sign certificates of those who may connect; undefined where anybody may. */
export function readClientCa({ clientCaFile }: ClientCaSettings, action: string): Promise<string> | undefined {
  return clientCaFile === undefined ? undefined : readPem(clientCaFile, { flag: "--client-ca-file", action });
}

/** What a caller trusts and shows, in PEM. */
interface CallerPems {
  readonly caCerts?: string[];
  readonly cert?: string;
  readonly key?: string;
}

/** Makes requests with the certificates of the settings, which are read again while it is there. */
export class Caller implements Disposable {
  /** What is trusted beside the usual. */
  readonly caCerts: readonly string[] | undefined;
  #client: Deno.HttpClient;
  readonly #following: Disposable;

  /** Undefined if the settings name nothing, and the host's `fetch` will do. */
  static async open(
    settings: CallerSettings,
    { action, clock, log }: Pick<RoleContext, "clock" | "log"> & { readonly action: string },
  ): Promise<Caller | undefined> {
    const read = () => readCaller(settings, action);
    const pems = await read();
    return Object.keys(pems).length === 0 ? undefined : new Caller(pems, { read, clock, log });
  }

  private constructor(
    pems: CallerPems,
    { read, clock, log }: Pick<RoleContext, "clock" | "log"> & { read(): Promise<CallerPems> },
  ) {
    let current = JSON.stringify(pems);
    this.caCerts = pems.caCerts;
    this.#client = clientWith(pems);
    this.#following = repeat({
      clock,
      everyMs: LOOK_EVERY_MS,
      look: async (signal) => {
        const renewed = await read();
        if (signal.aborted || JSON.stringify(renewed) === current) return;
        const older = this.#client;
        this.#client = clientWith(renewed);
        older.close();
        current = JSON.stringify(renewed);
        log.info("The certificates for calls to others were renewed");
      },
      onProblem: (error) =>
        log.warn("The certificates for calls to others are of no use: those before stay", { error }),
    });
  }

  readonly fetch: Fetch = (request) => fetch(request, { client: this.#client });

  [Symbol.dispose](): void {
    this.#following[Symbol.dispose]();
    this.#client.close();
  }
}

async function readCaller(
  { caFile, clientCertFile, clientKeyFile }: CallerSettings,
  action: string,
): Promise<CallerPems> {
  if ((clientCertFile === undefined) !== (clientKeyFile === undefined)) {
    throw new ConfigError(action, ["--client-cert-file and --client-key-file must be given together, got one"]);
  }
  return {
    ...(caFile !== undefined && { caCerts: [await readPem(caFile, { flag: "--ca-file", action })] }),
    ...(clientCertFile !== undefined && {
      cert: await readPem(clientCertFile, { flag: "--client-cert-file", action }),
      key: await readPem(clientKeyFile!, { flag: "--client-key-file", action }),
    }),
  };
}

function clientWith({ caCerts = [], cert, key }: CallerPems): Deno.HttpClient {
  return cert !== undefined && key !== undefined
    ? Deno.createHttpClient({ caCerts, cert, key })
    : Deno.createHttpClient({ caCerts });
}

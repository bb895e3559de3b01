/**
 * coturn as Debian packages it, a TURN relay on 127.0.0.1 that asks nobody for a password and has one thread for what it
 * relays.
 */

import { findTool } from "../testing/requirements.ts";
import { freePort, Program } from "../testing/program.ts";
import { TempDirectory } from "../testing/temp_directory.ts";

const HOST = "127.0.0.1";

export interface Coturn extends AsyncDisposable {
  readonly program: Program;
  readonly port: number;
}

export function hasCoturn(): boolean {
  return findTool("turnserver") !== undefined;
}

/** `within`: another command to run it, such as on one core. */
export async function startCoturn(within: readonly string[] = []): Promise<Coturn> {
  await using resources = new AsyncDisposableStack();
  const folder = resources.use(new TempDirectory());
  const port = freePort();
  const flags = [
    ...["-n", "--no-auth", "--no-cli", "--no-tls", "--no-dtls", "--allow-loopback-peers", "--relay-threads=1"],
    ...[`--listening-ip=${HOST}`, `--relay-ip=${HOST}`, `--listening-port=${port}`, "--realm=bench"],
    ...[`--pidfile=${folder.path("pid")}`, `--userdb=${folder.path("db")}`, `--log-file=${folder.path("log")}`],
  ];
  const command = [...within, findTool("turnserver")!, ...flags] as [string, ...string[]];
  const program = resources.use(new Program(command, { quiet: true }));
  // It listens on TCP as on UDP.
  await program.waitForPort({ host: HOST, port });
  const kept = resources.move();
  return { program, port, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

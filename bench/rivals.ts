/**
 * Other people's SOCKS proxies, as Debian packages them, on 127.0.0.1 with everything they need in a temporary folder:
 * microsocks, Dante's danted, and `ssh -D` through an sshd of its own with fresh keys. Disposing one ends its processes
 * and removes the folder.
 */

import type { Target } from "../protocol/stream.ts";
import { findTool } from "../testing/requirements.ts";
import { freePort, Program } from "../testing/program.ts";

export interface Rival {
  readonly name: string;
  /** Programs it consists of. */
  readonly tools: readonly string[];
  start(): Promise<RunningRival>;
}

export interface RunningRival extends AsyncDisposable {
  readonly name: string;
  /** Where it speaks SOCKS5. */
  readonly proxy: Target;
}

const HOST = "127.0.0.1";

export const microsocks: Rival = {
  name: "microsocks",
  tools: ["microsocks"],
  start: () =>
    running("microsocks", async (resources) => {
      const proxy = { host: HOST, port: freePort() };
      const program = resources.use(start("microsocks", ["-i", HOST, "-p", `${proxy.port}`]));
      await program.waitForPort(proxy);
      return proxy;
    }),
};

export const dante: Rival = {
  name: "dante",
  tools: ["danted"],
  start: () =>
    running("dante", async (resources) => {
      const folder = await temporaryFolder(resources);
      const proxy = { host: HOST, port: freePort() };
      await Deno.writeTextFile(`${folder}/danted.conf`, danteConfig(proxy));
      const program = resources.use(start("danted", ["-f", `${folder}/danted.conf`, "-p", `${folder}/danted.pid`]));
      await program.waitForPort(proxy);
      return proxy;
    }),
};

export const sshD: Rival = {
  name: "ssh -D",
  tools: ["ssh", "sshd", "ssh-keygen"],
  start: () =>
    running("ssh -D", async (resources) => {
      const folder = await temporaryFolder(resources);
      for (const key of ["host", "user"]) {
        await run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", `${folder}/${key}`]);
      }
      const server = { host: HOST, port: freePort() };
      const proxy = { host: HOST, port: freePort() };
      await Deno.writeTextFile(`${folder}/sshd_config`, sshdConfig(folder, server));
      // sshd asks for its privilege separation folder, which Debian's service makes at boot.
      if (Deno.uid() === 0) await Deno.mkdir("/run/sshd", { recursive: true, mode: 0o755 });
      const daemon = resources.use(start("sshd", ["-D", "-f", `${folder}/sshd_config`, "-E", `${folder}/sshd.log`]));
      await daemon.waitForPort(server);
      const client = resources.use(start("ssh", sshArguments(folder, server, proxy)));
      await client.waitForPort(proxy);
      return proxy;
    }),
};

/** Splits rivals into those this machine has and the names of those it has not. */
export function present(rivals: readonly Rival[]): { rivals: Rival[]; missing: string[] } {
  const isHere = (rival: Rival) => rival.tools.every((tool) => findTool(tool) !== undefined);
  return { rivals: rivals.filter(isHere), missing: rivals.filter((rival) => !isHere(rival)).map(({ name }) => name) };
}

function danteConfig(proxy: Target): string {
  return [
    "logoutput: /dev/null",
    `internal: ${proxy.host} port = ${proxy.port}`,
    `external: ${proxy.host}`,
    "clientmethod: none",
    "socksmethod: none",
    "client pass { from: 127.0.0.0/8 to: 0.0.0.0/0 }",
    "socks pass { from: 127.0.0.0/8 to: 0.0.0.0/0 }",
    "",
  ].join("\n");
}

function sshdConfig(folder: string, server: Target): string {
  return [
    `ListenAddress ${server.host}:${server.port}`,
    `HostKey ${folder}/host`,
    `AuthorizedKeysFile ${folder}/user.pub`,
    `PidFile ${folder}/sshd.pid`,
    "StrictModes no", // the temporary folder's parent is writable by all
    "UsePAM no",
    "PasswordAuthentication no",
    "PermitRootLogin prohibit-password",
    "MaxSessions 1000",
    "",
  ].join("\n");
}

function sshArguments(folder: string, server: Target, proxy: Target): string[] {
  const options = [
    "StrictHostKeyChecking=no",
    `UserKnownHostsFile=${folder}/known_hosts`,
    "IdentitiesOnly=yes",
    "BatchMode=yes",
    "ExitOnForwardFailure=yes",
    "LogLevel=ERROR",
  ].flatMap((option) => ["-o", option]);
  const where = ["-D", `${proxy.host}:${proxy.port}`, "-p", `${server.port}`, server.host];
  return ["-F", "/dev/null", "-N", "-c", "aes128-gcm@openssh.com", "-i", `${folder}/user`, ...options, ...where];
}

/** Starts something out of several parts; if one fails, those before it are stopped. */
export async function running(
  name: string,
  begin: (resources: AsyncDisposableStack) => Promise<Target>,
): Promise<RunningRival> {
  await using resources = new AsyncDisposableStack();
  const proxy = await begin(resources);
  const kept = resources.move();
  return { name, proxy, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

export async function temporaryFolder(resources: AsyncDisposableStack): Promise<string> {
  const folder = await Deno.makeTempDir({ prefix: "culvert-bench-" });
  resources.defer(() => Deno.remove(folder, { recursive: true }));
  return folder;
}

/** sshd insists on an absolute path, so that it can start itself anew for each connection. */
export function start(tool: string, args: readonly string[]): Program {
  return new Program([findTool(tool)!, ...args], { quiet: true });
}

/** Runs a tool to its end; gives what it said. */
export async function run(tool: string, args: string[], input = ""): Promise<string> {
  const child = new Deno.Command(findTool(tool)!, { args, stdin: "piped", stdout: "piped", stderr: "piped" }).spawn();
  await new Blob([input]).stream().pipeTo(child.stdin);
  const { success, stdout, stderr } = await child.output();
  if (!success) throw new Error(`Cannot run ${tool}: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}

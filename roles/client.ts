/**
 * `culvert client`: this machine's traffic leaves through an exit somewhere else.
 *
 *   program ─▶ --listen ─▶ sealed session ─▶ supernodes ─▶ exit ─▶ …      a proxy, for which nobody has to be root
 *   machine ─▶ interface ─▶ WireGuard ─▶ relays, or none ─▶ exit ─▶ …     --tun: everything, with a kill switch
 *
 * Either way it asks its supernode for an exit that meets the wish, watches the way through it, and goes to another when
 * it fails. `status`, `rotate` and `down` ask the client that runs. docs/client.md has it all.
 */

import { down, rotate, status } from "./client/actions.ts";
import { runProxy } from "./client/run_proxy.ts";
import { requireTunnelRights } from "./client/tunnel_rights.ts";
import { type ClientConfig, clientConfig, type UpConfig } from "./client/settings.ts";
import { ConfigError } from "./config.ts";
import { requireDenoRight } from "./machine/deno_rights.ts";
import { RUN_DIRECTORY } from "./machine/journal.ts";
import { ownRights } from "./machine/privileges.ts";
import { defineRole, type Role, type RoleContext, runRole } from "./role.ts";
import { ownForegroundCommand, startInBackground } from "./wireguard/background.ts";

export const role: Role<typeof clientConfig> = defineRole({
  name: "client",
  summary: "This machine's traffic leaves through an exit: as a local proxy, or all of it.",
  config: clientConfig,
  examples: [
    "culvert client --supernode https://PEERID@sn.example:8443/",
    "culvert client --region eu-west --max-latency 80ms --config client.toml",
    "culvert client up --tun --region eu-west --config client.toml --detach",
    "culvert client up --tun --exclude 192.168.0.0/16 --config client.toml",
    "culvert client status",
    "culvert client rotate",
    "culvert client down",
  ],
  run: async (config, context) => await actions[config.action](config, context),
});

const actions: Readonly<
  Record<ClientConfig["action"], (config: ClientConfig, context: RoleContext) => Promise<void>>
> = { up, status, rotate, down };

async function up(config: ClientConfig, context: RoleContext): Promise<void> {
  const ready = requireSupernode(config);
  const what = config.tun ? "--tun" : config.detach ? "--detach" : undefined;
  if (what !== undefined) requireDenoRight({ role: "client", what, right: "all" });
  if (config.detach) return await detach(config, context);
  if (!config.tun) return await runProxy(ready, context);
  // Only who routes the machine needs the kernel's interfaces.
  const { runTun } = await import("./client/run_tun.ts");
  await runTun(ready, context);
}

function requireSupernode(config: ClientConfig): UpConfig {
  const { supernode } = config;
  if (supernode) return { ...config, supernode };
  throw new ConfigError("start client", [
    "--supernode must be given (or CULVERT_SUPERNODE, or supernode in the config file)",
  ]);
}

async function detach({ tun, interface: name }: ClientConfig, context: RoleContext): Promise<void> {
  const { signal, print, log, stateDir } = context;
  // Here it is told to who asked; that process could only tell its log.
  if (tun) requireTunnelRights(await ownRights());
  const logFile = tun ? `${RUN_DIRECTORY}/${name}.log` : `${stateDir}/client.log`;
  await Deno.mkdir(logFile.slice(0, logFile.lastIndexOf("/")), { recursive: true, mode: 0o700 });
  const pid = await startInBackground(await ownForegroundCommand(), { logFile, signal, print, complain });
  log.info("The client is left to a process of its own", { pid, log: logFile });
}

/** Lines of log that another process has written. */
function complain(text: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(text));
}

if (import.meta.main) Deno.exit(await runRole(role, Deno.args));

/**
 * `culvert wireguard`: tunnels as wg-quick files describe them, on the kernel's device or on our own. Stands in for
 * wg-quick, for wireguard-go and for the parts of `wg` one needs every day; docs/wireguard.md has every subcommand.
 */

import { z } from "zod";
import { hostPrimitives } from "../net/host_primitives.ts";
import { systemLookup } from "../net/resolve.ts";
import { stripQuickConfig } from "../protocol/wireguard/quick_config_text.ts";
import { ConfigError } from "./config.ts";
import { defineRole, type Role, type RoleContext, runRole } from "./role.ts";
import { ownForegroundCommand, startInBackground } from "./wireguard/background.ts";
import { isInterfaceName, readConfFile } from "./wireguard/conf_file.ts";
import { BACKENDS, hostDevices } from "./machine/devices.ts";
import { down } from "./wireguard/down.ts";
import { RUN_DIRECTORY } from "./machine/journal.ts";
import { generatePresharedKey, generatePrivateKey, publicKeyOf } from "./wireguard/keys.ts";
import { qrLines, qrModules } from "./wireguard/qr.ts";
import { show } from "./wireguard/show.ts";
import { prepare, requireNotUp, up, type UpSettings, type UpTools } from "./wireguard/up.ts";

const ACTIONS = ["up", "down", "show", "genkey", "genpsk", "pubkey", "qr", "strip"] as const;
type Action = typeof ACTIONS[number];

/** More than any key with white space around it. */
const MAX_KEY_INPUT_BYTES = 4096;

const config = z.object({
  action: z.enum(ACTIONS).describe("What to do.").meta({ positional: true, placeholder: "action" }),
  conf: z.string().min(1).optional().describe("A file called wg0.conf, or wg0 for /etc/wireguard/wg0.conf.")
    .meta({ positional: true, placeholder: "conf", completes: "file" }),
  backend: z.enum(BACKENDS).default("auto")
    .describe("What carries the packets; auto takes the kernel when it can.").meta({ placeholder: "backend" }),
  detach: z.boolean().default(false).describe("Return once the tunnel is up, and leave it to a process of its own."),
  allowHooks: z.boolean().optional()
    .describe(
      "Run PreUp, PostUp, PreDown and PostDown; --no-allow-hooks leaves them out. Without either a file with such commands is refused.",
    ),
  dump: z.boolean().default(false).describe("Show lines with tabs for programs, secret keys among them."),
});

type Settings = z.output<typeof config>;

/** What the role reaches beside its context; a test puts others in their place. */
export interface WireGuardTools extends UpTools {
  /** The text on standard input. */
  readInput(): Promise<string>;
}

const hostTools: WireGuardTools = { devices: hostDevices, lookup: systemLookup, readInput: readStandardInput };

export function wireguardRole(tools: WireGuardTools = hostTools): Role<typeof config> {
  return defineRole({
    name: "wireguard",
    summary: "WireGuard tunnels from wg-quick files, by the kernel's device or our own.",
    config,
    examples: [
      "(umask 077; culvert wireguard genkey > private.key)",
      "culvert wireguard pubkey < private.key",
      "culvert wireguard up wg0",
      "culvert wireguard up ./wg0.conf --backend userspace --detach",
      "culvert wireguard show wg0",
      "culvert wireguard down wg0",
    ],
    run: async (settings, context) => await actions[settings.action](settings, context, tools),
  });
}

const actions: Readonly<
  Record<Action, (settings: Settings, context: RoleContext, tools: WireGuardTools) => void | Promise<void>>
> = {
  up: (settings, context, tools) =>
    settings.detach ? detach(settings, context, tools) : up(upSettingsOf(settings), context, tools),
  down: (settings, context) => down(confOf(settings), context),
  show: (settings, context) => show({ interfaceName: interfaceOf(settings), dump: settings.dump }, context),
  genkey: (settings, context) => printKey(settings, generatePrivateKey(context.random), context),
  genpsk: (settings, context) => printKey(settings, generatePresharedKey(context.random), context),
  pubkey: async (settings, context, tools) =>
    printKey(settings, publicKeyOf(await tools.readInput(), hostPrimitives()), context),
  qr: printQr,
  strip: async (settings, context) => {
    const file = await readConfFile(confOf(settings), context.log);
    context.print(stripQuickConfig(file.config).trimEnd());
  },
};

function upSettingsOf(settings: Settings): UpSettings {
  return { conf: confOf(settings), backend: settings.backend, allowHooks: settings.allowHooks };
}

/** What can be known before is told here and not in the log of the process that stays. */
async function detach(settings: Settings, context: RoleContext, { devices }: WireGuardTools): Promise<void> {
  const { signal, print, log } = context;
  const { file: { interfaceName } } = await prepare(upSettingsOf(settings), context, devices);
  await requireNotUp(interfaceName);
  const logFile = `${RUN_DIRECTORY}/${interfaceName}.log`;
  const pid = await startInBackground(await ownForegroundCommand(), { logFile, signal, print, complain });
  log.info("The tunnel is left to a process of its own", { pid, log: logFile });
}

/** Lines of log that another process has written. */
function complain(text: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(text));
}

async function printQr(settings: Settings, context: RoleContext): Promise<void> {
  const { text } = await readConfFile(confOf(settings), context.log);
  const modules = qrModules(text);
  if (!context.json) return qrLines(modules).forEach((line) => context.print(line));
  context.print(JSON.stringify({ modules: modules.map((row) => row.map(Number).join("")) }));
}

/** What a key is called in JSON. */
const KEY_NAMES: Partial<Record<Action, string>> = {
  genkey: "privateKey",
  genpsk: "presharedKey",
  pubkey: "publicKey",
};

/** A name given along with it would be taken for the file to write to. */
function printKey({ action, conf }: Settings, key: string, { json, print }: RoleContext): void {
  if (conf !== undefined) throw new ConfigError(`run wireguard ${action}`, ["<conf> must be left out"]);
  print(json ? JSON.stringify({ [KEY_NAMES[action]!]: key }) : key);
}

function confOf({ action, conf }: Settings): string {
  if (conf !== undefined) return conf;
  throw new ConfigError(`run wireguard ${action}`, ["<conf> must be given: an interface such as wg0, or its file"]);
}

function interfaceOf({ action, conf }: Settings): string | undefined {
  if (conf === undefined || isInterfaceName(conf)) return conf;
  throw new ConfigError(`run wireguard ${action}`, ["<conf> must be an interface such as wg0"]);
}

async function readStandardInput(): Promise<string> {
  const buffer = new Uint8Array(MAX_KEY_INPUT_BYTES);
  let filled = 0;
  for (let count: number | null = 0; count !== null && filled < buffer.length; filled += count ?? 0) {
    count = await Deno.stdin.read(buffer.subarray(filled));
  }
  return new TextDecoder().decode(buffer.subarray(0, filled));
}

export const role: Role<typeof config> = wireguardRole();

if (import.meta.main) Deno.exit(await runRole(role, Deno.args));

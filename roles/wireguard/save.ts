/**
 * SaveConfig: what the device is when it is taken down becomes its configuration file. Comments are lost, and names of
 * endpoints become the addresses last heard from, as with wg-quick.
 */

import type { QuickConfig } from "../../protocol/wireguard/quick_config.ts";
import { formatQuickConfig, quickConfigOf } from "../../protocol/wireguard/quick_config_text.ts";
import type { DeviceStatus } from "../../protocol/wireguard/settings.ts";
import { replacePrivateFile } from "../private_file.ts";
import type { ConfFile } from "./conf_file.ts";

/** Writes the file anew, readable for its owner alone; it appears whole or not at all. */
export async function saveConfig(
  { path, config }: Pick<ConfFile, "path" | "config">,
  status: DeviceStatus,
): Promise<void> {
  await replacePrivateFile(
    await Deno.realPath(path),
    new TextEncoder().encode(formatQuickConfig(savedConfig(config, status))),
  );
}

/** The device's own settings from its status; what only the file knows from the file. */
export function savedConfig(config: QuickConfig, status: DeviceStatus): QuickConfig {
  const { privateKey, listenPort, peers } = quickConfigOf(status);
  return {
    ...config,
    ...privateKey && { privateKey },
    ...listenPort !== undefined && { listenPort },
    // The mark of a default route was our choice, and may be another one next time.
    ...config.fwmark !== undefined && { fwmark: status.fwmark },
    peers,
  };
}

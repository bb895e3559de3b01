/**
 * The unit of the manager itself: systemd starts it again whenever it ends, and it finds its services as they were.
 *
 * It is root, since only root may tell systemd to start units of the system; it has next to none of root's rights.
 * CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH let it count what processes of other users have open, and see who has a port.
 */

import { NOTIFY_WATCHDOG_MS } from "./notify_text.ts";
import type { ProgramNeeds } from "./program_needs.ts";
import {
  commandWord,
  homeProtectionOf,
  MANAGER_UNIT,
  plainPercent,
  quoted,
  sandboxLines,
  signedUnit,
} from "./unit_text.ts";

export { MANAGER_UNIT };

const needs: ProgramNeeds = {
  capabilities: ["CAP_DAC_READ_SEARCH", "CAP_SYS_PTRACE"],
  devices: [],
  addressFamilies: [],
  // Where units lie, and its own sockets.
  writable: ["/etc/systemd/system", "/run"],
  changesKernelSettings: false,
};

/**
 * `command`: the whole command line of `culvert manager`. `environment`: what it needs beside, such as where its modules are,
 * since it cannot look into homes; no secrets, as units can be read by everybody.
 */
export function managerUnitText(
  command: readonly [string, ...string[]],
  environment: Readonly<Record<string, string>> = {},
): string {
  return signedUnit([
    ["Unit", [
      "Description=Culvert manager: keeps the services of this machine up",
      "Wants=network-online.target",
      "After=network-online.target",
      "StartLimitIntervalSec=0",
    ]],
    ["Service", [
      "Type=notify",
      "NotifyAccess=main",
      `WatchdogSec=${NOTIFY_WATCHDOG_MS / 1000}`,
      `ExecStart=${command.map(commandWord).join(" ")}`,
      ...Object.entries(environment).map(([name, value]) => `Environment=${quoted(plainPercent(`${name}=${value}`))}`),
      "ExecReload=kill -HUP $MAINPID",
      "Restart=always",
      "RestartSec=1",
      // Its services are not its own processes, but what it runs as an alert is.
      "KillMode=mixed",
      "StateDirectory=culvert",
      "StateDirectoryMode=0700",
      "LogsDirectory=culvert",
      "RuntimeDirectory=culvert",
      // Sockets and environments of services that go on without it.
      "RuntimeDirectoryPreserve=yes",
      ...needs.writable.map((path) => `ReadWritePaths=${path}`),
      "LimitCORE=0",
      ...sandboxLines(needs, homeProtectionOf(command)).filter((line) => line !== "ProtectProc=invisible"),
    ]],
    ["Install", ["WantedBy=multi-user.target"]],
  ]);
}

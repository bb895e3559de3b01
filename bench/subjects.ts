/**
 * Every subject that `deno task bench` knows. A new one is a file in `subjects/` and a line here.
 */

import type { Subject } from "./subject.ts";
import { circuitSubject } from "./subjects/circuit.ts";
import { controlSubject } from "./subjects/control.ts";
import { dashboardSubject } from "./subjects/dashboard.ts";
import { executablesSubject } from "./subjects/executables.ts";
import { failoverSubject } from "./subjects/failover.ts";
import { filesSubject } from "./subjects/files.ts";
import { fragmentsSubject } from "./subjects/fragments.ts";
import { ledgerSubject } from "./subjects/ledger.ts";
import { managerSubject } from "./subjects/manager.ts";
import { proxySubject } from "./subjects/proxy.ts";
import { relaySubject } from "./subjects/relay.ts";
import { relayStreamSubject } from "./subjects/relay_stream.ts";
import { transportsSubject } from "./subjects/transports.ts";
import { sharingSubject } from "./subjects/sharing.ts";
import { trackerSubject } from "./subjects/tracker.ts";
import { tunnelSubject } from "./subjects/tunnel.ts";
import { wireguardSubject } from "./subjects/wireguard.ts";

export const subjects: readonly Subject[] = [
  proxySubject,
  tunnelSubject,
  wireguardSubject,
  controlSubject,
  relaySubject,
  relayStreamSubject,
  failoverSubject,
  fragmentsSubject,
  circuitSubject,
  transportsSubject,
  filesSubject,
  ledgerSubject,
  sharingSubject,
  trackerSubject,
  managerSubject,
  dashboardSubject,
  executablesSubject,
];

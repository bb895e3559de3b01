/**
 * A service, as the manager knows it: a program that is kept running, and what shows that it works. Read from a service file
 * (`roles/manager/service_files.ts`); all is settled here, defaults included.
 *
 *   level 1  pid         the process is there, and is the one that was started
 *   level 2  port        what is in `listen` listens, by the kernel's table
 *   level 3  connection  it takes a connection there
 *   level 4  end to end  a request through its proxy is answered
 */

import type { Target } from "../stream.ts";
import type { WatchdogSettings } from "./watchdog_settings.ts";

/** In file names, unit names and metrics. */
export const SERVICE_NAME = /^[a-z][a-z0-9-]{0,31}$/;
/** Those are names of files and units of the manager's own. */
export const RESERVED_NAMES: ReadonlySet<string> = new Set(["manager", "watchdog", "services"]);

export interface Service {
  readonly name: string;
  /** One line for people. */
  readonly description: string;
  /** The role of ours that it runs, where it does. */
  readonly role?: string;
  /** The program's path and its arguments; no shell reads them. */
  readonly command: readonly [string, ...string[]];
  /** Default: whoever the manager is. */
  readonly user?: string;
  /** Where it is started. */
  readonly directory?: string;
  readonly environment: Readonly<Record<string, string>>;
  /** Whether the manager starts it when it starts itself. */
  readonly enabled: boolean;
  /** What must listen once it runs. */
  readonly listen: readonly ServicePort[];
  /** Whether it says by sd_notify when it is ready, as our own roles do. */
  readonly notifies: boolean;
  /** Whether a connection is tried at what listens. */
  readonly connects: boolean;
  readonly probe?: ServiceProbe;
  readonly limits: ServiceLimits;
  /** Rights that its role is not known to need, such as `CAP_NET_RAW`; counts where it has a user, or is a unit. */
  readonly capabilities?: readonly string[];
  /** Under systemd: paths that it writes to. */
  readonly writable?: readonly string[];
  readonly log: ServiceLog;
  /** The manager's settings, with what the service's file says otherwise. */
  readonly watchdog: WatchdogSettings;
}

export interface ServicePort {
  readonly kind: "tcp" | "udp";
  readonly at: Target;
}

/** A request through the service: whether it carries anything, not only whether it listens. */
export interface ServiceProbe {
  /** Where the request goes: `socks5://host:port`, `http://host:port`; undefined asks `url` itself. */
  readonly through?: string;
  readonly url: string;
  /** The status that is expected; any below 500 when left out. */
  readonly status?: number;
  readonly timeoutMs: number;
}

/** What is above them for `overMs` is restarted, before it harms others. */
export interface ServiceLimits {
  readonly memoryBytes?: number;
  readonly openFiles?: number;
  /** Of one core: 150 is one and a half. */
  readonly cpuPercent?: number;
  readonly overMs: number;
}

export interface ServiceLog {
  /** The file is cut beyond this; as much again is kept of what was cut. */
  readonly maxBytes: number;
}

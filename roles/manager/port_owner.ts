/**
 * Who has a port that a service should have: found by the number of the socket among the open files of all processes. Only
 * root sees those of others; for the rest there is the user whose socket it is.
 */

import type { ServicePort } from "../../protocol/manager/service.ts";
import type { TcpTable } from "../../native/tcp_table.ts";

export interface PortOwner {
  readonly uid: number;
  /** Absent where the process's open files may not be read. */
  readonly pid?: number;
  /** As the kernel calls it: up to 15 characters. */
  readonly program?: string;
}

/** Undefined when nobody has it. */
export type FindPortOwner = (port: ServicePort, table: TcpTable) => Promise<PortOwner | undefined>;

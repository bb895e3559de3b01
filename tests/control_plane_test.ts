/**
 * The control plane as it runs: base, supernodes, exits and a client, each a role with its own state directory, in one
 * process. The names are those of the steps of the operational spec.
 */

import { assert, assertEquals } from "@std/assert";
import { role as base } from "../roles/base.ts";
import { role as client } from "../roles/client.ts";
import { role as exit } from "../roles/exit.ts";
import { role as supernode } from "../roles/supernode.ts";
import { type ReadyInfo, type Role, type RunningRole, startRole } from "../roles/role.ts";
import { TempDirectory } from "../testing/temp_directory.ts";
import { createLogCollector } from "../testing/log_collector.ts";

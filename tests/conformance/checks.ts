/**
 * What docs/node-protocol.md asks of a node, one by one. A check throws when the node does otherwise, and gives a text when
 * the question does not arise. They run in this order on one run of the node's program; each leaves a connection behind
 * or ends it, and the next takes the one that is there or waits for the node to come back.
 */

import type { Check } from "./bench.ts";
import { carryingChecks } from "./carrying_checks.ts";
import { meetingChecks } from "./meeting_checks.ts";
import { returningChecks } from "./returning_checks.ts";

export const checks: readonly Check[] = [...meetingChecks, ...carryingChecks, ...returningChecks];

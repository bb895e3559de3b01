/**
 * Generic netlink: families that come and go with modules, each found by its name before it can be spoken to.
 *
 *   struct genlmsghdr: command u8, version u8, unused u16; then the family's attributes
 *
 * linux/genetlink.h.
 */

import { Attributes, type NetlinkMessage, NetlinkWriter, NLM_F_ACK, NLM_F_REQUEST } from "./netlink.ts";
import type { Bytes } from "./primitives.ts";

/** The family that knows the others, always there. */
const CONTROL_FAMILY = 16;
const CTRL_CMD_NEWFAMILY = 1;
const CTRL_CMD_GETFAMILY = 3;
const CTRL_ATTR_FAMILY_ID = 1;
const CTRL_ATTR_FAMILY_NAME = 2;
const CONTROL_VERSION = 1;

export const GENETLINK_HEADER_BYTES = 4;

/** Asks for a family's number; the kernel loads its module if it has one. */
export function encodeGetFamily(name: string): Bytes {
  return new NetlinkWriter(CONTROL_FAMILY, NLM_F_REQUEST | NLM_F_ACK)
    .raw(CTRL_CMD_GETFAMILY, CONTROL_VERSION, 0, 0)
    .text(CTRL_ATTR_FAMILY_NAME, name)
    .finish();
}

/** The number of a family, which is the type of its messages; undefined for any other message. */
export function readFamily({ type, payload }: NetlinkMessage): number | undefined {
  if (type !== CONTROL_FAMILY || payload[0] !== CTRL_CMD_NEWFAMILY) return undefined;
  return new Attributes(payload, GENETLINK_HEADER_BYTES).u16(CTRL_ATTR_FAMILY_ID);
}

/**
 * What exits and clients have to be told alike: which supernodes there are, which network they belong to.
 */

import { z } from "zod";
import type { SupernodeAddress } from "../../protocol/control/commands.ts";
import { nameSchema } from "../../protocol/fields.ts";
import { isPeerId } from "../../protocol/identity.ts";
import { networkFlags } from "../closed_network.ts";
import { filePath } from "../fields.ts";

const SUPERNODE_RULE = "a URL such as https://PEERID@host:port/, with the supernode's peer id before the @";

/** A supernode's URL has its peer id where others have a user: whoever answers there has to prove that it is the one. */
export function parseSupernode(text: string): SupernodeAddress | undefined {
  const url = URL.parse(text);
  if (!url || !/^(https?|wss?):$/.test(url.protocol) || !isPeerId(url.username) || url.password !== "") {
    return undefined;
  }
  const supernodeId = url.username;
  url.username = "";
  return { url: url.href, supernodeId };
}

const supernodeUrl = z.string().meta({ placeholder: "url" }).transform((text, context): SupernodeAddress => {
  const supernode = parseSupernode(text);
  if (supernode) return supernode;
  context.issues.push({ code: "custom", message: SUPERNODE_RULE, input: text });
  return z.NEVER;
});

export const peerSettings = {
  supernode: z.array(supernodeUrl).min(1, "given at least once").max(8)
    .describe("A supernode to connect to; several are tried in this order."),
  ...networkFlags,
  caFile: filePath().optional().describe("Certificates to trust beside the usual ones, in PEM."),
};

export type PeerSettings = z.output<z.ZodObject<typeof peerSettings>>;

/** A region's name. */
export function regionName(): typeof nameSchema {
  return nameSchema.meta({ placeholder: "name" });
}

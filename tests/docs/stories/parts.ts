/**
 * What several documents take for granted: a directory, a network with its supernode, a page at the far end.
 */

import type { Play } from "../story.ts";

const TLS = "--cert-file chain.pem --key-file key.pem";

/** The page at the far end of whatever the proxy there leads to, once that works. */
export async function seesHello(play: Play, on: string, port = 1080): Promise<string> {
  return await play.type(
    `curl -sS --retry 60 --retry-delay 0 --retry-max-time 25 --retry-all-errors --max-time 10 -x socks5h://127.0.0.1:${port} http://hello.culvert/`,
    { on, prints: /Hello from the far end of the culvert\./ },
  );
}

/** The directory, at that name and on the port of HTTPS. */
export async function startBase(play: Play, on: string, name: string): Promise<void> {
  await play.type(`sudo culvert base --listen :443 --authority ${name} ${TLS}`, { on });
}

export interface SupernodeOptions {
  readonly on: string;
  readonly url: string;
  readonly region: string;
  readonly flags?: string;
  /** The placeholder for its peer id. */
  readonly placeholder?: string;
}

export async function startSupernode(play: Play, options: SupernodeOptions): Promise<void> {
  const { on, url, region, flags = "", placeholder = "PEERID" } = options;
  const port = new URL(url).port || 443;
  await play.type(`sudo culvert supernode --region ${region} --listen :${port} --advertise ${url} ${TLS} ${flags}`, {
    on,
    learns: { [placeholder]: peerIdIn },
  });
}

/** The peer id in the URL that a supernode's ready line ends with. */
export const peerIdIn = /https:\/\/([a-z2-7]{26})@/;

export const emptyPolicy = "# closed as it is\n";

/** A site on the internet that tells who asks. */
export async function startSite(play: Play, on: string): Promise<void> {
  await play.type('sudo deno run -A "$CULVERT_CHECKOUT/tests/docs/scene/site.ts" chain.pem key.pem', {
    on,
    stays: true,
  });
}

/** People with accounts at an orchestrator that has just printed its invitation; what they are shown is known from then on. */
export async function openAccounts(play: Play, on: string, site: string): Promise<void> {
  await play.type(`deno run -A "$CULVERT_CHECKOUT/tests/docs/scene/accounts.ts" ${site} INVITATION`, {
    on,
    learns: Object.fromEntries(
      ["CODE", "USERID", "SECRET", "ACCOUNT_SECRET"].map((name) => [name, new RegExp(`^${name} (.*)$`, "m")]),
    ),
  });
}

/** What an orchestrator prints at its first start. */
export const invitationIn = /give the code (\S+)/;

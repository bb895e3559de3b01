/**
 * `culvert relay` without a base: no circuits, only a port where peers meet.
 */

import { hostPrimitives } from "../../net/host_primitives.ts";
import { WebPort } from "../../net/web_port.ts";
import { aborted } from "../../protocol/abort.ts";
import { formatTarget, type Target } from "../../protocol/stream.ts";
import { Membership } from "../closed_network.ts";
import { loadOrCreateIdentity } from "../identity_store.ts";
import { listenOn } from "../listening.ts";
import { Caller, type CallerSettings } from "../mutual_tls.ts";
import type { RelaySettings } from "../relay_settings.ts";
import type { RoleContext } from "../role.ts";
import { StateDirectory } from "../state.ts";
import { followTls, readFittingTls } from "../tls_files.ts";
import { listMeetings, type MeetingSettings, openMeetings } from "./meetings.ts";

const ACTION = "start relay";
const NOT_HERE = "Nothing is served here but links of peers that meet\n";

export async function runMeetingsAlone(
  settings:
    & MeetingSettings
    & CallerSettings
    & Pick<RelaySettings, "networkPublicKey" | "advertise" | "certFile" | "keyFile">
    & {
      readonly listen: Target;
    },
  context: RoleContext,
): Promise<void> {
  const { clock, random, log, metrics, signal, hardSignal } = context;
  const primitives = hostPrimitives();
  const tls = await readFittingTls(settings, ACTION);
  const state = await StateDirectory.open(context.stateDir);
  const { identity } = await loadOrCreateIdentity(state, { random, primitives, clock, signal });
  const { networkPublicKey, region } = settings;
  using membership = networkPublicKey && await Membership.join(networkPublicKey, {
    ...{ ...context, state, primitives, place: { peerId: identity.peerId, role: "relay", region } },
  });
  using caller = await Caller.open(settings, { ...context, action: ACTION });
  const parts = {
    ...{ identity, primitives, fetch: caller?.fetch },
    ...(membership && { network: membership.network, certificate: () => membership.certificate() }),
  };
  await using relay = openMeetings(settings, parts, context);
  const port = listenOn(settings.listen, (listen) =>
    new WebPort({
      ...{ listen, tls, clock, log, metrics, limits: { maxBodyBytes: 0 } },
      onWebsocket: (call) => relay.answer(call),
      fetch: () => new Response(NOT_HERE, { status: 404 }),
    }));
  await using _port = {
    async [Symbol.asyncDispose]() {
      port.close();
      await port.closed();
    },
  };
  using _following = tls && followTls(settings, { clock, log, current: tls, onChange: (pair) => port.renewTls(pair) });
  const { hostname, port: number } = port.address;
  const listening = formatTarget({ host: hostname, port: number });
  const url = settings.advertise ?? `${tls ? "https" : "http"}://${listening}`;
  await using _listed = await listMeetings(settings, { ...parts, url, relay }, context);
  context.ready({ addresses: { listen: listening }, note: `peer ${identity.peerId}` });
  await aborted(signal);
  port.close();
  await relay.shutdown(hardSignal);
}

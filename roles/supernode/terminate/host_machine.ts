/**
 * The machine itself, as the terminating relay uses it. Opening it takes the journal of the relay's interface, and takes
 * away what a killed process has left; closing it takes back whatever is left to take back.
 */

import { openLibc } from "../../../native/libc.ts";
import { Nft } from "../../../native/nft.ts";
import { RtNetlink } from "../../../native/rtnetlink.ts";
import { TunnelSocket } from "../../../native/tunnel_socket.ts";
import { CulvertError } from "../../../protocol/errors.ts";
import type { IpAddress } from "../../../protocol/ip.ts";
import { GatewayClient } from "../../client/tun/gateway_client.ts";
import { enableForwarding, type ForwardingTools } from "../../exit/packets/forwarding.ts";
import { type Backend, chooseBackend, hostDevices } from "../../machine/devices.ts";
import { holderOf, Journal, journalPathOf } from "../../machine/journal.ts";
import { noteRedirects } from "../../machine/kernel_link.ts";
import { ownRights, requireRights, requireTun } from "../../machine/privileges.ts";
import { undoAll } from "../../machine/undo.ts";
import type { RoleContext } from "../../role.ts";
import { newId } from "../command_outbox.ts";
import { serveGateway } from "./gateway_service.ts";
import type { GatewayProbe, RelayMachine } from "./machine.ts";

const NET = "/proc/sys/net";

/** Rejects with `denied` or `no_tun` before anything is changed, with `exists` where the interface is another's. */
export async function openHostMachine(
  { interfaceName, backend: wanted }: { readonly interfaceName: string; readonly backend: Backend },
  { clock, random, log }: Pick<RoleContext, "clock" | "random" | "log">,
): Promise<RelayMachine & AsyncDisposable> {
  const rights = await ownRights();
  requireRights(rights, {
    action: "terminate tunnels",
    uses: ["create network interfaces", "route between them", "keep their packets apart with nftables"],
  });
  const backend = chooseBackend(wanted, hostDevices, log);
  requireTun(rights, backend, interfaceName);
  using opened = new DisposableStack();
  const libc = opened.use(openLibc());
  const network = opened.use(new RtNetlink(libc));
  const filter = opened.use(new Nft(libc));
  const journal = opened.use(await takeJournal(interfaceName));
  if (journal.undos.length > 0) {
    log.warn("Taking away what a supernode that was killed has left", { interface: interfaceName });
    await undoAll(journal, network, log);
  }
  if (network.link(interfaceName)) {
    await journal.finish();
    throw new CulvertError("exists", `Cannot make ${interfaceName}: an interface of that name must not exist yet`);
  }
  if (backend === "kernel") await noteRedirects(journal);
  const held = opened.move();
  return {
    network,
    filter,
    journal,
    devices: hostDevices,
    backend,
    forwardFrom: (name, families) => forwardFrom(name, families, { network, journal }),
    probe: (name) => new Probe(name, { libc, clock, newId: () => newId(random) }),
    serveGateway,
    clock,
    random,
    log,
    async [Symbol.asyncDispose]() {
      using _held = held;
      await undoAll(journal, network, log);
      await journal.finish();
    },
  };
}

async function takeJournal(interfaceName: string): Promise<Journal> {
  const path = await journalPathOf(interfaceName);
  const journal = await Journal.take(path);
  if (journal) return journal;
  throw new CulvertError(
    "exists",
    `Cannot make ${interfaceName}: process ${
      await holderOf(path) ?? "?"
    } has one; --relay-interface gives another name`,
  );
}

/**
 * What is set goes with the interface. Only where the kernel knows the forwarding of IPv6 for the machine as a whole alone
 * (before Linux 6.17), that is turned on, and off again at the end.
 */
async function forwardFrom(interfaceName: string, families: readonly (4 | 6)[], tools: ForwardingTools): Promise<void> {
  const v4 = `${NET}/ipv4/conf/${interfaceName}`;
  await Deno.writeTextFile(`${v4}/forwarding`, "1");
  // A strict reverse path filter looks for the way back by the mark, too.
  await Deno.writeTextFile(`${v4}/src_valid_mark`, "1");
  if (!families.includes(6)) return;
  try {
    await Deno.writeTextFile(`${NET}/ipv6/conf/${interfaceName}/force_forwarding`, "1", { create: false });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    await enableForwarding([6], tools);
  }
}

interface ProbeTools {
  readonly libc: ReturnType<typeof openLibc>;
  readonly clock: RelayMachine["clock"];
  newId(): string;
}

/** One socket, for as long as the gateway is the same. */
class Probe implements GatewayProbe {
  readonly #interfaceName: string;
  readonly #tools: ProbeTools;
  #client: { readonly gateway: IpAddress; readonly client: GatewayClient } | undefined;

  constructor(interfaceName: string, tools: ProbeTools) {
    this.#interfaceName = interfaceName;
    this.#tools = tools;
  }

  async ask(gateway: IpAddress, withinMs: number, signal: AbortSignal): Promise<boolean> {
    const client = this.#clientFor(gateway);
    const { ok } = await client.ask({ type: "probe", id: this.#tools.newId() }, { signal, withinMs });
    return ok;
  }

  [Symbol.dispose](): void {
    this.#client?.client[Symbol.dispose]();
    this.#client = undefined;
  }

  #clientFor(gateway: IpAddress): GatewayClient {
    if (this.#client?.gateway.toString() === gateway.toString()) return this.#client.client;
    this[Symbol.dispose]();
    const { libc, clock } = this.#tools;
    const socket = TunnelSocket.open(libc, { interfaceName: this.#interfaceName, isV6: gateway.length === 16 });
    const client = new GatewayClient({ socket, gateway, clock });
    this.#client = { gateway, client };
    return client;
  }
}

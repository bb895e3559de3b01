/**
 * The client's bridge: what our QUIC endpoint sends to us on loopback goes to the server in the carrier's packets, and back.
 *
 *   QUIC ⇄ loopback UDP ⇄ here ⇄ carrier ⇄ server
 *
 * With a credential it first says hello, again and again until it is answered, and passes on nothing before. Later it says
 * hello again whenever what was sent has had no answer for a while, each time from and to another port where there are
 * several: a NAT that has forgotten us learns us anew, and a server that was restarted says so by its new instance. The QUIC
 * connections live on through the first and are told of the second.
 */

import type { Clock, Timer } from "../../protocol/clock.ts";
import type { PacketCarrier, PacketPlace } from "../../protocol/packet_carrier.ts";
import { portsOf, portSpan } from "../../protocol/port_span.ts";
import { type Random, randomInt } from "../../protocol/random.ts";
import type { Slab } from "../../protocol/slab.ts";
import type { ClientGate, GateAnswer } from "../../protocol/vtcp/client_gate.ts";
import type { BridgeNews, ClientBridgeOptions } from "./bridge_messages.ts";
import { type LocalCarrier, passOn } from "./local_carrier.ts";

/** Between hellos; and when it has been told that they are in vain. */
const HELLO_EVERY_MS = 600;
const LATER_HELLO_MS = 2000;
/** How long an answer to what was sent may take before we doubt the way. */
const SILENCE_MS = 1500;
/** So many unanswered hellos are told, and then again so many. */
const TOLD_HELLOS = 6;

export interface ClientBridgeParts {
  readonly local: Pick<LocalCarrier, "carrier" | "place">;
  readonly remote: PacketCarrier;
  readonly gate?: ClientGate;
  readonly clock: Clock;
  readonly random: Random;
  tell(news: BridgeNews): void;
  onFailure(error: unknown): void;
}

export class ClientBridge implements Disposable {
  readonly #parts: ClientBridgeParts;
  readonly #quic: PacketPlace;
  readonly #host: string;
  readonly #serverPorts: readonly number[];
  #server: PacketPlace;
  #isOpen: boolean;
  /** When the first packet went that nothing has come after; 0: something has come since. */
  #unansweredSinceMs = 0;
  #unansweredHellos = 0;
  #isRefused = false;
  #timer: Timer | undefined;
  #isClosed = false;

  constructor(options: ClientBridgeOptions, parts: ClientBridgeParts) {
    const { peer } = options.carrier;
    this.#parts = parts;
    this.#host = peer.host;
    this.#serverPorts = portsOf(portSpan(peer.ports));
    this.#quic = parts.local.place();
    this.#isOpen = parts.gate === undefined;
    this.#server = this.#drawPlace();
    parts.remote.start({
      onPacket: (slab, start, end) => this.#onRemote(slab, start, end),
      onTurn: () => parts.local.carrier.flush(),
      onClose: (error) => parts.onFailure(error),
    });
    parts.local.carrier.start({
      onPacket: (slab, start, end) => this.#onLocal(slab, start, end),
      onTurn: () => parts.remote.flush(),
      onClose: (error) => parts.onFailure(error),
    });
    if (parts.gate) this.#watch();
  }

  /** From now on from and to other ports, of those there are. */
  hop(): void {
    this.#server = this.#drawPlace();
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#parts.gate?.[Symbol.dispose]();
  }

  #onLocal(slab: Slab, start: number, end: number): void {
    const { remote, clock } = this.#parts;
    if (!this.#isOpen || end - start > remote.maxPayloadBytes) return;
    if (this.#unansweredSinceMs === 0) this.#unansweredSinceMs = clock.now();
    passOn(slab, start, end, remote, this.#server);
  }

  #onRemote(slab: Slab, start: number, end: number): void {
    const { gate, local } = this.#parts;
    if (this.#isClosed) return;
    if (gate?.isAsking) {
      const answer = gate.read(slab.bytes, start, end);
      if (answer) return this.#onAnswer(answer);
    }
    if (!this.#isOpen) return;
    this.#unansweredSinceMs = 0;
    passOn(slab, start, end, local.carrier, this.#quic);
  }

  #onAnswer(answer: GateAnswer): void {
    const { tell } = this.#parts;
    this.#unansweredHellos = 0;
    this.#isRefused = answer.kind === "refused";
    if (answer.kind === "refused") {
      return tell({ type: "refused", reason: answer.reason, serverWallMs: answer.serverWallMs });
    }
    const { instance, token, certificateKey } = answer.admission;
    this.#isOpen = true;
    this.#unansweredSinceMs = 0;
    tell({ type: "admitted", instance: instance.toHex(), token, certificateKey });
  }

  /** Looks whether a hello is due, says it, and comes back. */
  #watch(): void {
    if (this.#isClosed) return;
    const { clock, gate } = this.#parts;
    gate?.giveUpOld();
    const sinceMs = this.#unansweredSinceMs;
    const isSilent = sinceMs !== 0 && clock.now() - sinceMs >= SILENCE_MS;
    if (!this.#isOpen || isSilent) this.#sayHello();
    const isInVain = this.#isRefused || this.#unansweredHellos >= TOLD_HELLOS;
    const waitMs = isInVain ? LATER_HELLO_MS : HELLO_EVERY_MS;
    this.#timer = clock.after(waitMs, () => this.#watch());
  }

  #sayHello(): void {
    const { remote, tell } = this.#parts;
    const hello = this.#parts.gate!.hello();
    if (this.#unansweredHellos > 0) this.hop();
    const at = remote.reserve(hello.length);
    remote.slab.bytes.set(hello, at);
    remote.commit(hello.length, this.#server);
    remote.flush();
    this.#unansweredHellos++;
    if (this.#unansweredHellos % TOLD_HELLOS === 0) tell({ type: "unanswered", hellos: this.#unansweredHellos });
  }

  #drawPlace(): PacketPlace {
    const { remote, random } = this.#parts;
    const port = this.#serverPorts[randomInt(random, this.#serverPorts.length)]!;
    const localPort = remote.localPorts[randomInt(random, remote.localPorts.length)];
    return placeFrom(remote, { host: this.#host, port }, localPort);
  }
}

/** Carriers with several ports of their own take the one to send from as well. */
function placeFrom(
  carrier: PacketCarrier & { place(host: string, port: number, localPort?: number): PacketPlace },
  { host, port }: { readonly host: string; readonly port: number },
  localPort: number | undefined,
): PacketPlace {
  return carrier.place(host, port, localPort);
}

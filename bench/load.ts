/**
 * The load generators, one per command; each prints one line of JSON when it is ready or done.
 *
 *   source [--listen H:P]                         what the proxies connect to; ends with its standard input
 *   bulk --proxy H:P --target H:P --streams N --warm-ms N --measure-ms N
 *   transfer --proxy H:P|direct --target H:P --direction down|up --measure-ms N --sample-ms N     one stream, as it goes
 *   trips --target H:P --count N                  how long small messages take there and back, on one stream
 *   requests --proxy H:P|direct --target H:P --count N --concurrency N     how long each takes, and how many are lost
 *   talkers --proxy H:P --target H:P --count N --measure-ms N     streams that live as long, and how many do not
 *   paths --url URL --target H:P --count N --stalled 0|1     as many paths with a stream each; ends with its standard input
 *   connections --proxy H:P --target H:P --concurrency N --warm-ms N --measure-ms N
 *   idle --proxy H:P --target H:P --count N       holds connections; ends with its standard input
 *   stalled --proxy H:P --target H:P              asks for bulk and reads none of it; ends with its standard input
 *   relay --to H:P --delay-ms N                   a relay that delays each way; ends with its standard input
 *   line --a NAME --b NAME                        two devices, and a line between them; does what its standard input says
 *   transport-far, -near, -crowd --dialect D --carrier C …     the ends of a transport, see `transport`
 *   losers --to H:P,…                             lose fragments on their way; do what its standard input says
 *   blind-relay                                   our blind relay; does what its standard input says, see `blind_relay`
 *   relay-load                                    a pair of sockets around a relay; the same, see `relay_load`
 *   packet-relay                                  our packet relay; the same, see `packet_relay`
 *   routed-load                                   flows through a packet relay; the same, see `routed_load`
 *   initiators --target H:P --key K --private-keys FILE --warm-ms N --measure-ms N        WireGuard handshakes
 *   flood --target H:P --key K --private-keys FILE --per-s N    initiations; ends with its standard input
 *   peers --supernode URL --count N    control streams; does what its standard input says and ends with it, see `peers`
 *   sessions --supernode URL --target H:P --count N    sets up sessions with an exit, one after the other
 *   rotation --supernode URL    holds a session and waits until it is told to use another
 */

import { parseArgs } from "@std/cli/parse-args";
import { formatTarget, parseTarget, type Target } from "../protocol/stream.ts";
import { openLibcrypto } from "../native/crypto.ts";
import { portableWireGuardCrypto, type WireGuardCrypto } from "../protocol/wireguard/crypto.ts";
import { isCryptName } from "../protocol/packet_layer/crypt.ts";
import { parseSupernode } from "../roles/peer/settings.ts";
import type { SupernodeAddress } from "../protocol/control/commands.ts";
import { DelayRelay } from "../testing/delay_relay.ts";
import { linesOf } from "../testing/program.ts";
import { serveBlindRelay } from "./load/blind_relay.ts";
import { runBulk } from "./load/bulk.ts";
import { runConnections } from "./load/connections.ts";
import { holdIdle, holdStalled } from "./load/hold.ts";
import { type InitiatorsOptions, runFlood, runInitiators } from "./load/initiators.ts";
import { serveLine } from "./load/line.ts";
import { serveLosers } from "./load/losers.ts";
import { servePacketRelay } from "./load/packet_relay.ts";
import { Peers } from "./load/peers.ts";
import { holdPaths } from "./load/paths.ts";
import { serveRelayLoad } from "./load/relay_load.ts";
import { runRequests } from "./load/requests.ts";
import { serveRoutedLoad } from "./load/routed_load.ts";
import { awaitRotation, runSessions } from "./load/sessions.ts";
import { startSource } from "./load/source.ts";
import { runTalkers } from "./load/talkers.ts";
import { runTransfer, type TransferDirection } from "./load/transfer.ts";
import { holdCrowd, serveFar, serveNear, type TransportEnd } from "./load/transport.ts";
import { runTrips } from "./load/trips.ts";
import { serveWeighedRelay } from "./load/weighed_relay.ts";

const commands: Readonly<Record<string, (flags: Flags) => Promise<void>>> = {
  async source(flags) {
    using source = startSource(flags.has("listen") ? flags.target("listen") : undefined);
    print({ ready: true, addresses: { listen: formatTarget(source.address) } });
    await stdinEnd();
  },
  async bulk(flags) {
    const { proxy, target } = flags.ends();
    const [streams, warmMs, measureMs] = [flags.count("streams"), flags.count("warm-ms"), flags.count("measure-ms")];
    print(await runBulk({ proxy, target, streams, warmMs, measureMs }));
  },
  async transfer(flags) {
    const [proxy, target] = [flags.proxy(), flags.target("target")];
    const [measureMs, sampleMs] = [flags.count("measure-ms"), flags.count("sample-ms")];
    print(await runTransfer({ proxy, target, direction: flags.direction(), measureMs, sampleMs }, print));
  },
  async trips(flags) {
    print({ tookMs: await runTrips(flags.target("target"), flags.count("count")) });
  },
  async requests(flags) {
    const [count, concurrency] = [flags.count("count"), flags.count("concurrency")];
    print(await runRequests({ proxy: flags.proxy(), target: flags.target("target"), count, concurrency }));
  },
  async talkers(flags) {
    print(await runTalkers({ ...flags.ends(), count: flags.count("count"), measureMs: flags.count("measure-ms") }));
  },
  async paths(flags) {
    const [count, isStalled] = [flags.count("count"), flags.count("stalled") === 1];
    using _held = await holdPaths({ url: flags.text("url"), target: flags.target("target"), count, isStalled });
    print({ ready: true });
    await stdinEnd();
  },
  async connections(flags) {
    const { proxy, target } = flags.ends();
    const [warmMs, measureMs] = [flags.count("warm-ms"), flags.count("measure-ms")];
    print(await runConnections({ proxy, target, concurrency: flags.count("concurrency"), warmMs, measureMs }));
  },
  async idle(flags) {
    const { proxy, target } = flags.ends();
    using held = await holdIdle(proxy, target, flags.count("count"));
    print({ ready: true, connections: held.count });
    await stdinEnd();
  },
  async stalled(flags) {
    const { proxy, target } = flags.ends();
    using _held = await holdStalled(proxy, target);
    print({ ready: true });
    await stdinEnd();
  },
  async relay(flags) {
    await using relay = DelayRelay.start({ to: flags.target("to"), delayMs: flags.count("delay-ms") });
    print({ ready: true, addresses: { listen: formatTarget(relay.address) } });
    await stdinEnd();
  },
  async "weighed-relay"() {
    await serveWeighedRelay(stdinLines(), print);
  },
  line(flags) {
    serveLine({ a: flags.text("a"), b: flags.text("b") }, print);
    return Promise.resolve();
  },
  async "transport-far"(flags) {
    await serveFar(flags.transport(), print, stdinEnd());
  },
  async "transport-near"(flags) {
    const more = { listen: flags.target("listen"), credential: flags.text("credential") };
    await serveNear(flags.transport(), more, print, stdinEnd());
  },
  async "transport-crowd"(flags) {
    const more = { credential: flags.text("credential"), count: flags.count("count") };
    await holdCrowd(flags.transport(), more, print, stdinEnd());
  },
  async losers(flags) {
    await serveLosers(flags.targets("to"), stdinLines(), print);
  },
  async "blind-relay"() {
    await serveBlindRelay(stdinLines(), print);
  },
  async "relay-load"() {
    await serveRelayLoad(stdinLines(), print);
  },
  async "packet-relay"() {
    await servePacketRelay(stdinLines(), print);
  },
  async "routed-load"() {
    await serveRoutedLoad(stdinLines(), print);
  },
  async initiators(flags) {
    using suite = openCrypto();
    const [warmMs, measureMs] = [flags.count("warm-ms"), flags.count("measure-ms")];
    print(await runInitiators(await flags.initiators(suite.crypto), { warmMs, measureMs }));
  },
  async flood(flags) {
    using suite = openCrypto();
    const stopping = new AbortController();
    const options = await flags.initiators(suite.crypto);
    print({ ready: true });
    stdinEnd().then(() => stopping.abort());
    print({ perS: await runFlood(options, flags.count("per-s"), stopping.signal) });
  },
  /** Lines of its standard input: `open`, `churn N`, `status`. Each is answered with the status afterwards. */
  async peers(flags) {
    await using peers = new Peers(flags.supernode(), flags.count("count"));
    print({ ready: true });
    for await (const line of stdinLines()) {
      const [what, count] = line.split(" ");
      if (what === "open") await peers.open();
      if (what === "churn") await peers.churn(Number(count));
      print(peers.status());
    }
  },
  async sessions(flags) {
    print(
      await runSessions({ supernode: flags.supernode(), target: flags.target("target"), count: flags.count("count") }),
    );
  },
  async rotation(flags) {
    await awaitRotation(flags.supernode(), print);
  },
};

class Flags {
  readonly #values: Record<string, unknown>;

  constructor(args: readonly string[]) {
    this.#values = parseArgs(args, {
      string: [
        "proxy",
        "target",
        "to",
        "key",
        "private-keys",
        "supernode",
        "direction",
        "url",
        "a",
        "b",
        "dialect",
        "carrier",
        "crypt",
        "host",
        "listen",
        "credential",
      ],
    });
  }

  has(name: string): boolean {
    return this.#values[name] !== undefined;
  }

  target(name: string): Target {
    const target = parseTarget(String(this.#values[name]));
    if (!target) throw new Error(`Cannot load: --${name} must be host:port, got ${this.#values[name]}`);
    return target;
  }

  transport(): TransportEnd {
    const carrier = this.text("carrier") === "raw" ? "raw" : "udp";
    const crypt = this.text("crypt");
    if (!isCryptName(crypt)) throw new Error(`Cannot load: --crypt must be one of kcptun's, got ${crypt}`);
    const where = { host: this.text("host"), port: this.count("port"), target: this.target("target") };
    return { dialect: this.text("dialect"), carrier, crypt, ...where };
  }

  targets(name: string): Target[] {
    return this.text(name).split(",").map((each) => parseTarget(each)!);
  }

  text(name: string): string {
    return String(this.#values[name]);
  }

  /** Undefined when there is to be none. */
  proxy(): Target | undefined {
    return this.text("proxy") === "direct" ? undefined : this.target("proxy");
  }

  direction(): TransferDirection {
    const direction = this.text("direction");
    if (direction === "down" || direction === "up") return direction;
    throw new Error(`Cannot load: --direction must be down or up, got ${direction}`);
  }

  supernode(): SupernodeAddress {
    const supernode = parseSupernode(String(this.#values.supernode));
    if (!supernode) {
      throw new Error(`Cannot load: --supernode must be a URL with a peer id, got ${this.#values.supernode}`);
    }
    return supernode;
  }

  ends(): { proxy: Target; target: Target } {
    return { proxy: this.target("proxy"), target: this.target("target") };
  }

  /** Keys are base64, the private ones a line each. */
  async initiators(suite: WireGuardCrypto): Promise<InitiatorsOptions> {
    const lines = (await Deno.readTextFile(String(this.#values["private-keys"]))).trim().split("\n");
    return {
      crypto: suite,
      target: this.target("target"),
      targetKey: Uint8Array.fromBase64(String(this.#values.key)),
      privateKeys: lines.map((line) => Uint8Array.fromBase64(line)),
    };
  }

  count(name: string): number {
    const count = Number(this.#values[name]);
    if (!Number.isInteger(count) || count < 0) {
      throw new Error(`Cannot load: --${name} must be a whole number, got ${this.#values[name]}`);
    }
    return count;
  }
}

/** libcrypto where it loads: the generator should not be what is measured. */
function openCrypto(): { readonly crypto: WireGuardCrypto } & Disposable {
  const native = openLibcrypto();
  return { crypto: native ?? portableWireGuardCrypto, [Symbol.dispose]: () => native?.[Symbol.dispose]() };
}

function print(line: unknown): void {
  console.log(JSON.stringify(line));
}

function stdinLines(): ReadableStream<string> {
  return Deno.stdin.readable.pipeThrough(new TextDecoderStream()).pipeThrough(linesOf());
}

/** Standard input ends when whoever started us closes it or dies, so no load generator is ever left behind. */
async function stdinEnd(): Promise<void> {
  const buffer = new Uint8Array(64);
  while (await Deno.stdin.read(buffer) !== null);
}

if (import.meta.main) {
  const [command = "", ...rest] = Deno.args;
  const run = commands[command];
  if (!run) {
    throw new Error(`Cannot load: the command must be one of ${Object.keys(commands).join(", ")}, got ${command}`);
  }
  await run(new Flags(rest));
  Deno.exit(0);
}

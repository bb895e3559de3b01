/**
 * The load generators, one per command; each prints one line of JSON when it is ready or done.
 *
 *   source [--listen H:P]                         what the proxies connect to; ends with its standard input
 *   bulk --proxy H:P|direct --target H:P [--login U:P] --streams N --warm-ms N --measure-ms N
 *   versus --proxy H:P --target H:P --login U:P --other-login U:P --turns N --turn-ms N     two that take turns
 *   transfer --proxy H:P|direct --target H:P --direction down|up --measure-ms N --sample-ms N     one stream, as it goes
 *   trips --target H:P --count N                  how long small messages take there and back, on one stream
 *   requests --proxy H:P|direct --target H:P --count N --concurrency N     how long each takes, and how many are lost
 *   talkers --proxy H:P --target H:P --count N --measure-ms N     streams that live as long, and how many do not
 *   paths --url URL --target H:P --count N --stalled 0|1     as many paths with a stream each; ends with its standard input
 *   connections --proxy H:P --target H:P [--login U:P] --concurrency N --warm-ms N --measure-ms N
 *   idle --proxy H:P --target H:P --count N       holds connections; ends with its standard input
 *   stalled --proxy H:P --target H:P              asks for bulk and reads none of it; ends with its standard input
 *   orchestrator                                  one that nodes and clients come to; ends with its standard input
 *   nodes --url URL --count N                     so many nodes of an orchestrator; the same
 *   copy --target H:P                             copies what comes to it there and back; the same
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
 *   ledger --kv FILE|--database URL --warm-ms N --measure-ms N    clients charged by a ledger, see `ledger`
 *   peer-relay                                    where peers meet; ends with its standard input
 *   peer-far --file F [--place JSON]              shares a file, at the relay or directly; the same
 *   peer-near --card JSON                         a bridge to that peer; the same
 *   peer-fetch --url URL                          fetches it once
 *   announcers --target H:P --peers N --connections N     peers of a tracker; do what their standard input says
 *   bt-announces --target H:P --peers N --connections N --warm-ms N --measure-ms N     the same of a BitTorrent tracker
 *   lists --target H:P --count N                  how long lists of a tracker take
 *   tracker-store --kv FILE --count N --ttl-ms N    fills a tracker's store
 *   base-store --kv FILE --count N                fills base's store with relays
 *   file-server --folder F                        our file server; ends with its standard input
 *   file-large --url URL --range-bytes N --warm-ms N --measure-ms N     one file over and over, whole or in ranges
 *   file-once --url URL                           reads it once
 *   file-small --url URL --files N --concurrency N --warm-ms N --measure-ms N     small files, by number
 *   file-first --url URL --count N                how soon the first byte comes
 *   sessions --supernode URL --target H:P --count N    sets up sessions with an exit, one after the other
 *   dashboard --peers N                           a dashboard over a network of so many; ends with its standard input
 *   rotation --supernode URL    holds a session and waits until it is told to use another
 */

import { type Clock, clockOf } from "../protocol/clock.ts";
import { meetingPlaceSchema, peerCardSchema } from "../protocol/peers/card.ts";
import { type Random, randomOf } from "../protocol/random.ts";
import { formatTarget } from "../protocol/stream.ts";
import { openLibcrypto } from "../native/crypto.ts";
import { portableWireGuardCrypto, type WireGuardCrypto } from "../protocol/wireguard/crypto.ts";
import { DelayRelay } from "../testing/delay_relay.ts";
import { linesOf } from "../testing/program.ts";
import { fillBaseStore } from "./load/base_store.ts";
import { serveBlindRelay } from "./load/blind_relay.ts";
import { runBulk } from "./load/bulk.ts";
import { runConnections } from "./load/connections.ts";
import { serveDashboard } from "./load/dashboard.ts";
import { readFirstBytes, readLarge, readOnce, readSmall, serveFolder } from "./load/file_reads.ts";
import { holdIdle, holdStalled } from "./load/hold.ts";
import { runFlood, runInitiators } from "./load/initiators.ts";
import { loadKvLedger, loadPostgresLedger } from "./load/ledger.ts";
import { serveLine } from "./load/line.ts";
import { serveLosers } from "./load/losers.ts";
import { servePacketRelay } from "./load/packet_relay.ts";
import { runPeerFetch, servePeerFar, servePeerNear, servePeerRelay } from "./load/peer_transfer.ts";
import { Peers } from "./load/peers.ts";
import { holdPaths } from "./load/paths.ts";
import { serveRelayLoad } from "./load/relay_load.ts";
import { runRequests } from "./load/requests.ts";
import { serveRoutedLoad } from "./load/routed_load.ts";
import { awaitRotation, runSessions } from "./load/sessions.ts";
import { startSource } from "./load/source.ts";
import { holdNodes, serveCopy, serveOrchestrator } from "./load/sharing.ts";
import { runTalkers } from "./load/talkers.ts";
import { runTransfer } from "./load/transfer.ts";
import { holdCrowd, serveFar, serveNear } from "./load/transport.ts";
import { Announcers, runBitTorrentAnnounces, runLists } from "./load/tracker.ts";
import { fillTrackerStore } from "./load/tracker_store.ts";
import { runTrips } from "./load/trips.ts";
import { runVersus } from "./load/versus.ts";
import { serveWeighedRelay } from "./load/weighed_relay.ts";
import { Flags } from "./load_flags.ts";

const commands: Readonly<Record<string, (flags: Flags) => Promise<void>>> = {
  async ledger(flags) {
    const [clock, settings] = [clockOf(globalThis), {
      warmMs: flags.count("warm-ms"),
      measureMs: flags.count("measure-ms"),
    }];
    const isOnKv = flags.has("kv");
    print(await (isOnKv ? loadKvLedger : loadPostgresLedger)(flags.text(isOnKv ? "kv" : "database"), clock, settings));
  },
  async announcers(flags) {
    const announcers = await Announcers.register(flags.announces(), host());
    print({ ready: true });
    for await (const line of stdinLines()) {
      const [how, warmMs, measureMs] = line.split(" ");
      const times = { warmMs: Number(warmMs), measureMs: Number(measureMs) };
      print(await announcers.run({ ...times, isClosing: how === "closing" }));
    }
  },
  async "bt-announces"(flags) {
    const times = { warmMs: flags.count("warm-ms"), measureMs: flags.count("measure-ms") };
    print(await runBitTorrentAnnounces({ ...flags.announces(), ...times }, host()));
  },
  async lists(flags) {
    print({ tookMs: await runLists(flags.target("target"), flags.count("count"), host()) });
  },
  async "tracker-store"(flags) {
    await fillTrackerStore(flags.text("kv"), flags.count("count"), { ...host(), ttlMs: flags.count("ttl-ms") });
    print({ filled: true });
  },
  async "base-store"(flags) {
    await fillBaseStore(flags.text("kv"), flags.count("count"), host().clock);
    print({ filled: true });
  },
  async source(flags) {
    using source = startSource(flags.has("listen") ? flags.target("listen") : undefined);
    print({ ready: true, addresses: { listen: formatTarget(source.address) } });
    await stdinEnd();
  },
  async bulk(flags) {
    const [proxy, target, login] = [flags.proxy(), flags.target("target"), flags.login()];
    const [streams, warmMs, measureMs] = [flags.count("streams"), flags.count("warm-ms"), flags.count("measure-ms")];
    print(await runBulk({ proxy, target, login, streams, warmMs, measureMs }));
  },
  async versus(flags) {
    const { proxy, target } = flags.ends();
    const logins = [flags.text("login"), flags.text("other-login")] as const;
    const [turns, turnMs] = [flags.count("turns"), flags.count("turn-ms")];
    print({ ratio: await runVersus({ proxy, target, logins, turns, turnMs }) });
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
    const [login, concurrency] = [flags.login(), flags.count("concurrency")];
    print(await runConnections({ proxy, target, login, concurrency, warmMs, measureMs }));
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
  async orchestrator() {
    await serveOrchestrator(print, stdinEnd());
  },
  async nodes(flags) {
    await holdNodes(flags.text("url"), flags.count("count"), print, stdinEnd());
  },
  async copy(flags) {
    await serveCopy(flags.target("target"), print, stdinEnd());
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
  async "peer-relay"() {
    await servePeerRelay(print, stdinEnd());
  },
  async "peer-far"(flags) {
    const relay = flags.has("place") ? meetingPlaceSchema.parse(JSON.parse(flags.text("place"))) : undefined;
    await servePeerFar({ file: flags.text("file"), relay }, print, stdinEnd());
  },
  async "peer-near"(flags) {
    await servePeerNear(peerCardSchema.parse(JSON.parse(flags.text("card"))), print, stdinEnd());
  },
  async "file-server"(flags) {
    await serveFolder(flags.text("folder"), print, stdinEnd());
  },
  async "file-large"(flags) {
    const [warmMs, measureMs] = [flags.count("warm-ms"), flags.count("measure-ms")];
    print(await readLarge({ url: flags.text("url"), rangeBytes: flags.count("range-bytes"), warmMs, measureMs }));
  },
  async "file-once"(flags) {
    print(await readOnce(flags.text("url")));
  },
  async "file-small"(flags) {
    const [warmMs, measureMs] = [flags.count("warm-ms"), flags.count("measure-ms")];
    const [files, concurrency] = [flags.count("files"), flags.count("concurrency")];
    print(await readSmall({ url: flags.text("url"), files, concurrency, warmMs, measureMs }));
  },
  async "file-first"(flags) {
    print(await readFirstBytes(flags.text("url"), flags.count("count")));
  },
  async "peer-fetch"(flags) {
    print(await runPeerFetch(flags.text("url")));
  },
  async sessions(flags) {
    print(
      await runSessions({ supernode: flags.supernode(), target: flags.target("target"), count: flags.count("count") }),
    );
  },
  async dashboard(flags) {
    await serveDashboard({ peers: flags.count("peers"), ...host() }, print, stdinEnd());
  },
  async rotation(flags) {
    await awaitRotation(flags.supernode(), print);
  },
};

/** libcrypto where it loads: the generator should not be what is measured. */
function openCrypto(): { readonly crypto: WireGuardCrypto } & Disposable {
  const native = openLibcrypto();
  return { crypto: native ?? portableWireGuardCrypto, [Symbol.dispose]: () => native?.[Symbol.dispose]() };
}

function host(): { readonly clock: Clock; readonly random: Random } {
  return { clock: clockOf(globalThis), random: randomOf(crypto) };
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

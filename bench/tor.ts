/**
 * tor as a rival: a network of its own on loopback, in a temporary folder.
 *
 *   load ⇄ client ⇄ first ⇄ second ⇄ third ⇄ source        and an authority that tells everybody of everybody
 *
 * The client is told its path, so that it is always the same three relays. tor is set up as fast as it goes here: the
 * settings of the public network are made for its long ways, and lose nine tenths of this bandwidth to a congestion
 * window that shrinks whenever the machine is busy and to a scheduler that looks every 10 ms.
 *
 * Takes 10 to 25 s: an authority votes at whole multiples of its interval, with pauses in which to hear of others' votes.
 */

import { clockOf, delay } from "../protocol/clock.ts";
import type { Target } from "../protocol/stream.ts";
import { freePort } from "../testing/program.ts";
import { type Rival, run, running, start, temporaryFolder } from "./rivals.ts";

const HOST = "127.0.0.1";
const READY_MS = 60_000;
const LOOK_MS = 100;
const RELAYS = ["first", "second", "third"] as const;

export const tor: Rival = {
  name: "tor",
  tools: ["tor", "tor-gencert"],
  start: () =>
    running("tor", async (resources) => {
      const folder = await temporaryFolder(resources);
      const authority = await makeAuthority(folder);
      const launch = async (name: string, lines: readonly string[]) => {
        const file = await writeConfig(folder, name, [...lines, authority.line]);
        resources.use(start("tor", ["-f", file]));
      };
      await launch(authority.name, authority.lines);
      for (const relay of RELAYS) {
        await launch(relay, [...relayLines(relay, freePort()), ...(relay === "third" ? EXIT : NO_EXIT)]);
      }
      // Who comes before everybody is known, and has heard of it, waits a long while until it asks again.
      const known = RELAYS.map((name) => `\nr ${name} `);
      for (const name of RELAYS) await untilFileHas(`${folder}/${name}/cached-microdesc-consensus`, known);
      const proxy: Target = { host: HOST, port: freePort() };
      await launch("client", clientLines(proxy));
      await untilFileHas(`${folder}/client/log`, ["Bootstrapped 100%"]);
      return proxy;
    }),
};

const COMMON = [
  "TestingTorNetwork 1",
  "AssumeReachable 1",
  "PathsNeededToBuildCircuits 0.25",
  "ConfluxEnabled 0", // more than three relays would be needed
  "VanguardsLiteEnabled 0",
  "KISTSchedRunInterval 1 msec",
];

const VOTING = [
  "TestingV3AuthInitialVotingInterval 5",
  "TestingV3AuthInitialVoteDelay 2",
  "TestingV3AuthInitialDistDelay 2",
  "V3AuthVotingInterval 10",
  "V3AuthVoteDelay 2",
  "V3AuthDistDelay 2",
  "TestingMinExitFlagThreshold 0",
  "TestingDirAuthVoteGuard *",
  "TestingDirAuthVoteExit *",
  "ConsensusParams cc_alg=2 cc_cwnd_min=1000 cc_cwnd_init=1000",
];

const NO_EXIT = ["ExitRelay 0"];
const EXIT = ["ExitRelay 1", "ExitPolicyRejectPrivate 0", "ExitPolicy accept *:*"];

function relayLines(name: string, port: number): string[] {
  return [`Nickname ${name}`, `Address ${HOST}`, "SocksPort 0", `ORPort ${HOST}:${port}`, "ContactInfo none"];
}

function clientLines(proxy: Target): string[] {
  const path = ["EntryNodes", "MiddleNodes", "ExitNodes"].map((place, at) => `${place} ${RELAYS[at]}`);
  return [`SocksPort ${proxy.host}:${proxy.port}`, ...path];
}

/** Its keys are made first, for everybody's settings name it by them. */
async function makeAuthority(folder: string): Promise<{ name: string; lines: string[]; line: string }> {
  const [name, relayPort, directoryPort] = ["authority", freePort(), freePort()];
  const keys = `${folder}/${name}/keys`;
  await Deno.mkdir(keys, { recursive: true, mode: 0o700 });
  await Deno.chmod(`${folder}/${name}`, 0o700);
  const files = ["-i", `${keys}/authority_identity_key`, "-s", `${keys}/authority_signing_key`];
  const certificate = `${keys}/authority_certificate`;
  const made = ["--create-identity-key", "--passphrase-fd", "0", "-m", "12", "-a", `${HOST}:${directoryPort}`];
  await run("tor-gencert", [...made, ...files, "-c", certificate], "none\n");
  const signer = /^fingerprint (\w+)$/m.exec(await Deno.readTextFile(certificate))![1];
  const duty = ["AuthoritativeDirectory 1", "V3AuthoritativeDirectory 1", `DirPort ${HOST}:${directoryPort}`];
  const lines = [...relayLines(name, relayPort), ...NO_EXIT, ...duty, ...VOTING];
  const lineWith = (identity: string) =>
    `DirAuthority ${name} orport=${relayPort} no-v2 v3ident=${signer} ${HOST}:${directoryPort} ${identity}`;
  const file = await writeConfig(folder, name, [...lines, lineWith("f".repeat(40))]);
  const said = await run("tor", ["-f", file, "--list-fingerprint", "--quiet"]);
  return { name, lines, line: lineWith(said.trim().split("\n").at(-1)!.slice(name.length + 1)) };
}

async function writeConfig(folder: string, name: string, lines: readonly string[]): Promise<string> {
  const own = `${folder}/${name}`;
  await Deno.mkdir(own, { recursive: true, mode: 0o700 });
  const usual = [...COMMON, `DataDirectory ${own}`, `Log notice file ${own}/log`];
  await Deno.writeTextFile(`${own}/torrc`, [...usual, ...lines, ""].join("\n"));
  return `${own}/torrc`;
}

async function untilFileHas(file: string, words: readonly string[]): Promise<void> {
  const clock = clockOf(globalThis);
  const untilMs = clock.now() + READY_MS;
  for (;;) {
    const text = await Deno.readTextFile(file).catch(() => "");
    if (words.every((each) => text.includes(each))) return;
    if (clock.now() > untilMs) throw new Error(`Cannot start tor: its network was not ready within ${READY_MS} ms`);
    await delay(clock, LOOK_MS);
  }
}

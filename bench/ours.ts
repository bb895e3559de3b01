/**
 * Culvert itself, started as a person would start it: the roles as processes, told where to listen by flags, telling
 * where they do by their ready line. The only file of the benchmarks that knows the roles' flags.
 */

import { formatTarget, type Target } from "../protocol/stream.ts";
import { denoProgram, inspectedProgram, startRelay } from "./loads.ts";
import { freePort, listenAddress, type Program } from "../testing/program.ts";

export interface RunningOurs extends AsyncDisposable {
  readonly name: string;
  /** Where it speaks SOCKS5. */
  readonly proxy: Target;
  /** Its processes, the proxy first. */
  readonly programs: readonly Program[];
}

export interface TunnelSettings {
  readonly tls?: boolean;
  /** A relay that delays each way stands between the two ends. */
  readonly delayMs?: number;
}

/** Not port 0: after a round of many connections the system may have none left to give. */
function listenFlags(): string[] {
  return ["--listen", `127.0.0.1:${freePort()}`, "--json", "--log-level", "error"];
}

/** The source of the loads is on this machine, which an egress does not reach unless told to. */
const POLICY = 'allow_addresses = ["loopback"]\n';

/** Ingress and direct egress in one process. */
export async function startProxy(): Promise<RunningOurs> {
  await using resources = new AsyncDisposableStack();
  const policyFile = await writeFile(resources, "policy.toml", POLICY);
  const program = resources.use(role("proxy", [...listenFlags(), "--egress-policy", policyFile]));
  const proxy = listenAddress(await program.readJson());
  return kept("culvert", proxy, [program], resources);
}

/** Ingress in one process, a WebSocket to another, egress there. */
export async function startTunnel(settings: TunnelSettings = {}): Promise<RunningOurs> {
  await using resources = new AsyncDisposableStack();
  const policyFile = await writeFile(resources, "policy.toml", POLICY);
  const certificate = settings.tls ? await makeCertificate(resources) : undefined;
  const serverTls = certificate ? ["--cert-file", certificate.certFile, "--key-file", certificate.keyFile] : [];
  const server = resources.use(role("tunnel", [...listenFlags(), "--egress-policy", policyFile, ...serverTls]));
  let far = listenAddress(await server.readJson());
  if (settings.delayMs !== undefined) {
    const relay = await startRelay(far, settings.delayMs);
    resources.use(relay.program);
    far = relay.address;
  }
  const url = `tunnel+${certificate ? "wss" : "ws"}://${formatTarget(far)}`;
  const clientTls = certificate ? ["--ca-file", certificate.certFile] : [];
  const client = resources.use(role("proxy", [...listenFlags(), "--path", url, ...clientTls]));
  const proxy = listenAddress(await client.readJson());
  return kept(certificate ? "culvert with TLS" : "culvert", proxy, [client, server], resources);
}

function role(name: string, args: readonly string[]): Program {
  return denoProgram("roles/main.ts", [name, ...args]);
}

function kept(
  name: string,
  proxy: Target,
  programs: readonly Program[],
  resources: AsyncDisposableStack,
): RunningOurs {
  const moved = resources.move();
  return { name, proxy, programs, [Symbol.asyncDispose]: () => moved.disposeAsync() };
}

async function writeFile(resources: AsyncDisposableStack, name: string, text: string): Promise<string> {
  const folder = await temporaryFolder(resources);
  await Deno.writeTextFile(`${folder}/${name}`, text);
  return `${folder}/${name}`;
}

/** A certificate for 127.0.0.1, signed by itself, for a day. */
async function makeCertificate(resources: AsyncDisposableStack): Promise<{ certFile: string; keyFile: string }> {
  const folder = await temporaryFolder(resources);
  const [certFile, keyFile] = [`${folder}/cert.pem`, `${folder}/key.pem`];
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", keyFile];
  const name = [
    "-subj",
    "/CN=127.0.0.1",
    "-addext",
    "subjectAltName=IP:127.0.0.1",
    "-addext",
    "basicConstraints=critical,CA:FALSE",
  ];
  const { success, stderr } = await new Deno.Command("openssl", {
    args: ["req", "-x509", ...key, "-out", certFile, "-days", "1", ...name],
  }).output();
  if (!success) throw new Error(`Cannot make a certificate: ${new TextDecoder().decode(stderr)}`);
  return { certFile, keyFile };
}

async function temporaryFolder(resources: AsyncDisposableStack): Promise<string> {
  const folder = await Deno.makeTempDir({ prefix: "culvert-bench-" });
  resources.defer(() => Deno.remove(folder, { recursive: true }));
  return folder;
}

export interface TrackerSettings {
  /** A file; memory without. */
  readonly kv?: string;
  /** Until a silent peer is forgotten. Default 3 min. */
  readonly ttlMs?: number;
  /** What runs it: such as what keeps it on one core. */
  readonly within?: readonly string[];
  /** Where V8's inspector listens, to be asked what is held. */
  readonly inspectorPort?: number;
}

/** A tracker that takes as many requests from one address as come. */
export async function startTracker(
  { kv = ":memory:", ttlMs = 180_000, within = [], inspectorPort }: TrackerSettings = {},
): Promise<{ readonly target: Target; readonly program: Program } & AsyncDisposable> {
  const unlimited = ["--address-rate", "10000000", "--max-per-address", "100000"];
  const args = [...listenFlags(), "--kv", kv, "--interval", `${ttlMs / 3}ms`, ...unlimited];
  const file = "roles/tracker.ts";
  await using resources = new AsyncDisposableStack();
  const program = resources.use(
    inspectorPort === undefined
      ? denoProgram(file, args, within)
      : inspectedProgram(file, args, { inspectorPort, within }),
  );
  const target = listenAddress(await program.readJson(TRACKER_START_MS));
  const kept = resources.move();
  return { target, program, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

/** With many peers in its store it reads them first. */
const TRACKER_START_MS = 60_000;

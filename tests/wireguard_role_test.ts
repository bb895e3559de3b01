/**
 * `culvert wireguard` in namespaces, as a person uses it: against wireguard-go, looked at by the stock `wg`, stopped in
 * every way a process can be.
 */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { NetLab, type NetNamespace } from "../testing/netns.ts";
import { testWith } from "../testing/requirements.ts";
import { TempDirectory } from "../testing/temp_directory.ts";

const NEEDS = { netns: true, tools: ["wg", "wireguard-go", "nft"], files: ["/dev/net/tun"] };
const ROOT = new URL("..", import.meta.url).pathname;
const CULVERT = [Deno.execPath(), "run", "-A", `${ROOT}roles/main.ts`, "wireguard"];
const TRANSFER = [Deno.execPath(), "run", "-A", `${ROOT}tests/fixtures/transfer.ts`];

/** Sockets are named after interfaces for the whole machine, so the names carry our process. */
const OURS = `cv${Deno.pid}`;
const THEIRS = `go${Deno.pid}`;

interface Keys {
  readonly secret: string;
  readonly public: string;
}

/** Two machines: `near` for culvert, `far` for wireguard-go or nothing. */
interface Scene extends AsyncDisposable {
  readonly near: NetNamespace;
  readonly far: NetNamespace;
  readonly nearKeys: Keys;
  readonly farKeys: Keys;
  /** A file in a directory of the test. */
  path(name: string): string;
  /** Writes our configuration and gives its path. */
  configure(sections: { interface?: string; peer?: string }): string;
}

async function openScene(): Promise<Scene> {
  const lab = await NetLab.open();
  const temp = new TempDirectory();
  const [near, far] = [await lab.namespace("near"), await lab.namespace("far")];
  await lab.connect(near, "10.77.0.1/24", far, "10.77.0.2/24");
  const [nearKeys, farKeys] = [await makeKeys(near), await makeKeys(near)];
  return {
    near,
    far,
    nearKeys,
    farKeys,
    path: (name) => temp.path(name),
    configure({ interface: lines = "", peer = "" }) {
      const path = temp.path(`${OURS}.conf`);
      Deno.writeTextFileSync(
        path,
        `[Interface]\nPrivateKey = ${nearKeys.secret}\n${lines}\n[Peer]\nPublicKey = ${farKeys.public}\n${peer}\n`,
        { mode: 0o600 },
      );
      return path;
    },
    async [Symbol.asyncDispose]() {
      await lab[Symbol.asyncDispose]();
      temp[Symbol.dispose]();
      // wireguard-go was killed, and leaves its socket.
      await Deno.remove(`/var/run/wireguard/${THEIRS}.sock`).catch(() => {});
    },
  };
}

async function makeKeys(namespace: NetNamespace): Promise<Keys> {
  const { stdout: secret } = await namespace.run([...CULVERT, "genkey"]);
  const command = ["sh", "-c", 'printf %s "$1" | wg pubkey', "sh", secret.trim()];
  return { secret: secret.trim(), public: (await namespace.run(command)).stdout.trim() };
}

/** A tunnel that runs in the foreground. */
class Up implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #said: Promise<string>;
  #rest = "";

  constructor(namespace: NetNamespace, args: readonly string[], env: Record<string, string> = {}) {
    this.#child = namespace.spawn([...CULVERT, "up", "--backend", "userspace", ...args], {
      env,
      stdout: "piped",
      stderr: "piped",
      stdin: "null",
    });
    this.#said = new Response(this.#child.stderr).text();
  }

  /** Its ready line. */
  async ready(): Promise<string> {
    const reader = this.#child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    while (!this.#rest.includes("\n")) {
      const { value, done } = await reader.read();
      if (done) throw new Error(`It ended before it was ready: ${await this.#said}`);
      this.#rest += value;
    }
    await reader.cancel();
    return this.#rest.trim();
  }

  /** Ends it and gives its exit code. */
  async end(signal: Deno.Signal): Promise<number> {
    this.#child.kill(signal);
    return (await this.#child.status).code;
  }

  /** What it logged, and its exit code, once it has ended by itself. */
  async failed(): Promise<{ code: number; said: string }> {
    const [said, { code }] = await Promise.all([this.#said, this.#child.status, this.#child.stdout.cancel()]);
    return { said, code };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.#said;
    await this.#child.status;
    if (!this.#child.stdout.locked) await this.#child.stdout.cancel();
  }
}

/** Everything that a tunnel could leave behind in a namespace, as text. */
async function traces(namespace: NetNamespace): Promise<string> {
  const commands = [
    ["ip", "-o", "link"],
    ["ip", "rule"],
    ["ip", "-6", "rule"],
    ["ip", "route", "show", "table", "all"],
    ["nft", "list", "ruleset"],
    ["cat", "/proc/sys/net/ipv4/conf/all/src_valid_mark"],
    ["find", "/var/run/wireguard", "/run/culvert/machine", "-name", `${OURS}.*`, "-not", "-name", "*.log"],
  ];
  const outputs = await Promise.all(commands.map((command) => namespace.run(command, { mayFail: true })));
  // The veth gets its link-local address while the test runs.
  return outputs.map(({ stdout }) => stdout).join("\n").replace(/^.*fe80:.*\n/gm, "");
}

/** wireguard-go on the far side, listening at 10.77.0.2. */
async function startWireGuardGo({ far, farKeys, nearKeys, path }: Scene): Promise<void> {
  far.spawn(["wireguard-go", "-f", THEIRS], { stdout: "null", stderr: "null", stdin: "null" });
  await Deno.writeTextFile(
    path("far.conf"),
    `[Interface]\nPrivateKey = ${farKeys.secret}\nListenPort = 51820\n` +
      `[Peer]\nPublicKey = ${nearKeys.public}\nAllowedIPs = 10.78.0.1/32\n`,
  );
  await far.run([
    "sh",
    "-c",
    `until wg setconf ${THEIRS} "$1"; do sleep 0.05; done 2>/dev/null`,
    "sh",
    path("far.conf"),
  ]);
  await far.run(["ip", "address", "add", "10.78.0.2/24", "dev", THEIRS]);
  await far.run(["ip", "link", "set", THEIRS, "mtu", "1420", "up"]);
}

const TO_FAR = { interface: "Address = 10.78.0.1/24", peer: "AllowedIPs = 10.78.0.2/32\nEndpoint = 10.77.0.2:51820" };
const DEFAULT_ROUTE = { interface: "Address = 10.78.0.1/24, fd78::1/64", peer: "AllowedIPs = 0.0.0.0/0, ::/0" };

/** Bytes from one side to the other; gives what each end says of them. */
async function transfer(from: NetNamespace, to: NetNamespace, host: string): Promise<[string, string]> {
  const child = to.spawn([...TRANSFER, "serve", host], { stdout: "piped", stderr: "null", stdin: "null" });
  const [first, rest] = child.stdout.pipeThrough(new TextDecoderStream()).tee();
  const received = new Response(rest.pipeThrough(new TextEncoderStream())).text();
  const reader = first.getReader();
  const port = (await reader.read()).value!.trim();
  reader.releaseLock();
  const sending = from.run([...TRANSFER, "send", host, port, String(100_000_000)]);
  await first.cancel().catch(() => {});
  const [sent, got] = await Promise.all([sending, received, child.status]);
  return [sent.stdout.trim(), got.trim().split("\n")[1]!];
}

testWith(NEEDS, "100 MB to wireguard-go and back arrive whole, and the stock wg works on our device", async () => {
  await using scene = await openScene();
  const { near, far, farKeys } = scene;
  await startWireGuardGo(scene);
  await using up = new Up(near, [scene.configure(TO_FAR)]);
  assertMatch(
    await up.ready(),
    /^ready {2}wireguard {2}listening on \[::\]:\d+, interface cv\d+, userspace backend, MTU 1420$/,
  );

  for (const [from, to, host] of [[near, far, "10.78.0.2"], [far, near, "10.78.0.1"]] as const) {
    const [sent, received] = await transfer(from, to, host);
    assertEquals(received, sent);
    assertStringIncludes(sent, "100000000 ");
  }

  const shown = (await near.run(["wg", "show", OURS])).stdout;
  assertStringIncludes(shown, `peer: ${farKeys.public}`);
  assertMatch(shown, /latest handshake: .*\n {2}transfer: .* received, .* sent/);
  assertEquals(
    (await near.run([...CULVERT, "show", OURS, "--dump"])).stdout,
    (await near.run(["wg", "show", OURS, "dump"])).stdout,
  );
  await near.run(["wg", "set", OURS, "peer", farKeys.public, "persistent-keepalive", "25"]);
  const third = await makeKeys(near);
  await near.run(["wg", "set", OURS, "peer", third.public, "allowed-ips", "10.78.0.9/32"]);
  assertStringIncludes((await near.run([...CULVERT, "show"])).stdout, "persistent keepalive: every 25 seconds");
  await Deno.writeTextFile(
    scene.path("stripped"),
    (await near.run([...CULVERT, "strip", scene.path(`${OURS}.conf`)])).stdout,
  );
  await near.run(["wg", "syncconf", OURS, scene.path("stripped")]);
  assertEquals((await near.run(["wg", "show", OURS, "peers"])).stdout, `${farKeys.public}\n`);
  assertEquals(await up.end("SIGTERM"), 0);
});

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  testWith(
    NEEDS,
    `a default route is all there while it is up, and after ${signal} there is no trace of it`,
    async () => {
      await using scene = await openScene();
      const before = await traces(scene.near);
      await using up = new Up(scene.near, [scene.configure(DEFAULT_ROUTE)]);
      await up.ready();
      const during = await traces(scene.near);
      assertStringIncludes(during, "lookup main suppress_prefixlength 0");
      assertStringIncludes(during, "not from all fwmark 0xca6c lookup 51820");
      assertStringIncludes(during, `default dev ${OURS} table 51820`);
      assertStringIncludes(during, `table inet culvert_${OURS}`);
      assertStringIncludes((await scene.near.run(["ip", "route", "get", "192.0.2.1"])).stdout, `dev ${OURS}`);
      assertStringIncludes((await scene.near.run(["ip", "route", "get", "10.77.0.2"])).stdout, "dev eth0");
      assertEquals(await up.end(signal), 0);
      assertEquals(await traces(scene.near), before);
    },
  );
}

testWith(NEEDS, "what a killed run left is taken away by the next down, and by the next up", async () => {
  await using scene = await openScene();
  const before = await traces(scene.near);
  const conf = scene.configure(DEFAULT_ROUTE);
  const kill = async () => {
    await using up = new Up(scene.near, [conf]);
    await up.ready();
    await up.end("SIGKILL");
    assertStringIncludes(await traces(scene.near), "suppress_prefixlength 0");
  };
  await kill();
  assertEquals((await scene.near.run([...CULVERT, "down", OURS])).stdout, `${OURS} is down\n`);
  assertEquals(await traces(scene.near), before);
  await kill();
  await using again = new Up(scene.near, [conf]);
  await again.ready();
  assertEquals((await traces(scene.near)).match(/lookup main suppress_prefixlength 0/g)?.length, 2);
  assertEquals(await again.end("SIGTERM"), 0);
  assertEquals(await traces(scene.near), before);
});

testWith(NEEDS, "detached it stays until down, and there is only one of a name", async () => {
  await using scene = await openScene();
  const before = await traces(scene.near);
  const conf = scene.configure(TO_FAR);
  const { stdout } = await scene.near.run([...CULVERT, "up", conf, "--backend", "userspace", "--detach"]);
  assertMatch(stdout, /^ready {2}wireguard {2}/);
  await using second = new Up(scene.near, [conf]);
  const { code, said } = await second.failed();
  assertEquals(code, 1);
  assertStringIncludes(said, "it is up already, by process");
  const log = `/run/culvert/machine/${OURS}.log`;
  const { ino } = await Deno.stat(log);
  const third = await scene.near.run([...CULVERT, "up", conf, "--detach"], { mayFail: true });
  assertEquals(third.code, 1);
  assertStringIncludes(third.stderr, "it is up already, by process");
  assertEquals((await Deno.stat(log)).ino, ino, "the log of the one that runs is left alone");
  await scene.near.run([...CULVERT, "down", conf]);
  assertEquals(await traces(scene.near), before);
  const none = await scene.near.run([...CULVERT, "down", conf], { mayFail: true });
  assertStringIncludes(none.stderr, "it must have been brought up by culvert");
  await Deno.remove(log);
});

testWith(NEEDS, "deleting the socket or the interface ends it, with everything around it", async () => {
  await using scene = await openScene();
  const before = await traces(scene.near);
  const conf = scene.configure(DEFAULT_ROUTE);
  await using one = new Up(scene.near, [conf]);
  await one.ready();
  await Deno.remove(`/var/run/wireguard/${OURS}.sock`);
  const { code } = await one.failed();
  assertEquals(code, 0);
  assertEquals(await traces(scene.near), before);
  await using other = new Up(scene.near, [conf]);
  await other.ready();
  await scene.near.run(["ip", "link", "delete", OURS]);
  assertEquals((await other.failed()).code, 1);
  assertEquals(await traces(scene.near), before);
});

testWith(NEEDS, "commands of the file are refused unless allowed, and run in their order", async () => {
  await using scene = await openScene();
  const note = scene.path("note");
  const hooks = ["PreUp", "PostUp", "PreDown", "PostDown"].map((name) => `${name} = echo ${name} %i >> ${note}`);
  const conf = scene.configure({ interface: `Address = 10.78.0.1/24\n${hooks.join("\n")}` });
  await using refused = new Up(scene.near, [conf]);
  const { code, said } = await refused.failed();
  assertEquals(code, 1);
  assertStringIncludes(said, "PreUp, PostUp, PreDown, PostDown");
  await using up = new Up(scene.near, [conf, "--allow-hooks"]);
  await up.ready();
  assertEquals(await up.end("SIGTERM"), 0);
  assertEquals(
    await Deno.readTextFile(note),
    ["PreUp", "PostUp", "PreDown", "PostDown"].map((name) => `${name} ${OURS}\n`).join(""),
  );
});

testWith(NEEDS, "name servers are handed to resolvconf and taken back, also for a run that was killed", async () => {
  await using scene = await openScene();
  const script = '#!/bin/sh\n{ echo "$@"; [ "$1" = -a ] && cat; } >> "${0%/*}/called"\nexit 0\n';
  await Deno.writeTextFile(scene.path("resolvconf"), script, { mode: 0o755 });
  const env = { PATH: `${scene.path(".")}:${Deno.env.get("PATH")}` };
  const conf = scene.configure({ interface: "DNS = 10.78.0.53, lan.example" });
  await using up = new Up(scene.near, [conf], env);
  await up.ready();
  await up.end("SIGKILL");
  await scene.near.run([...CULVERT, "down", conf], { env });
  const set = `-a ${OURS} -m 0 -x\nnameserver 10.78.0.53\nsearch lan.example\n`;
  assertEquals(await Deno.readTextFile(scene.path("called")), `${set}-d ${OURS} -f\n`);
});

testWith(NEEDS, "a failure on the way up takes back what was done", async () => {
  await using scene = await openScene();
  const before = await traces(scene.near);
  const failing = { ...DEFAULT_ROUTE, interface: `${DEFAULT_ROUTE.interface}\nPostUp = exit 3` };
  await using up = new Up(scene.near, [scene.configure(failing), "--allow-hooks"]);
  const { code, said } = await up.failed();
  assertEquals(code, 1);
  assertStringIncludes(said, "Cannot run a PostUp command: it gave 3");
  assertEquals(await traces(scene.near), before);
});

testWith(
  { ...NEEDS, tools: [...NEEDS.tools, "setpriv"] },
  "without rights it says which and why before changing anything",
  async () => {
    await using scene = await openScene();
    const before = await traces(scene.near);
    const command = ["setpriv", "--bounding-set=-net_admin", ...CULVERT, "up", scene.configure(DEFAULT_ROUTE)];
    const { code, stderr } = await scene.near.run(command, { mayFail: true });
    assertEquals(code, 1);
    assertStringIncludes(
      stderr,
      "needs root or the capability CAP_NET_ADMIN, to create the network interface, give it its",
    );
    assertStringIncludes(stderr, "Nothing has been changed");
    assertEquals(await traces(scene.near), before);
  },
);

testWith(NEEDS, "an interface that another program made is left alone", async () => {
  await using scene = await openScene();
  await scene.near.run(["ip", "tuntap", "add", "mode", "tun", "name", OURS]);
  const before = await traces(scene.near);
  await using up = new Up(scene.near, [scene.configure(TO_FAR)]);
  const { code, said } = await up.failed();
  assertEquals(code, 1);
  assertStringIncludes(said, "was not made by culvert");
  const down = await scene.near.run([...CULVERT, "down", OURS], { mayFail: true });
  assert(down.code === 1);
  assertEquals(await traces(scene.near), before);
});

testWith(NEEDS, "SaveConfig writes what the device was, readable for its owner alone", async () => {
  await using scene = await openScene();
  const conf = scene.configure({ ...TO_FAR, interface: `${TO_FAR.interface}\nSaveConfig = true` });
  await using up = new Up(scene.near, [conf]);
  await up.ready();
  await scene.near.run(["wg", "set", OURS, "peer", scene.farKeys.public, "persistent-keepalive", "17"]);
  assertEquals(await up.end("SIGTERM"), 0);
  const text = await Deno.readTextFile(conf);
  assertStringIncludes(text, "PersistentKeepalive = 17");
  assertStringIncludes(text, "Address = 10.78.0.1/24");
  assertStringIncludes(text, "SaveConfig = true");
  assertEquals((await Deno.stat(conf)).mode! & 0o777, 0o600);
});

import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { portablePrimitives } from "../../protocol/primitives.ts";
import { silentLog } from "../../protocol/log.ts";
import { emptyQuickConfig } from "../../protocol/wireguard/quick_config.ts";
import { keyFromBase64 } from "../../protocol/wireguard/keys.ts";
import { LogCollector } from "../../testing/log_collector.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { isReadyLine } from "./background.ts";
import { confNameOf, readConfFile } from "./conf_file.ts";
import { chooseBackend, type DeviceMaker } from "../machine/devices.ts";
import { Hooks } from "./hooks.ts";
import { generatePrivateKey, publicKeyOf } from "./keys.ts";
import { canAdministerNetwork, requireRights, requireTun } from "../machine/privileges.ts";
import { savedConfig } from "./save.ts";
import { dumpText, publicStatus } from "./show.ts";

const SECRET = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=";

Deno.test("a word names an interface in /etc/wireguard, a path names its own", () => {
  assertEquals(confNameOf("wg0"), { path: "/etc/wireguard/wg0.conf", interfaceName: "wg0" });
  assertEquals(confNameOf("/x/wg-1.conf"), { path: "/x/wg-1.conf", interfaceName: "wg-1" });
  assertEquals(confNameOf("wg0.conf"), { path: `${Deno.cwd()}/wg0.conf`, interfaceName: "wg0" });
  for (const word of ["", "/x/wg0", "/x/.conf", "a name", "sixteen-letters-.conf", "..", "../x.txt"]) {
    assertThrows(() => confNameOf(word), Error, "must be an interface's name, or a file");
  }
});

Deno.test("a file's problems are told by line and never with a key; others who can read it are told of", async () => {
  using temp = new TempDirectory();
  const path = temp.path("wg0.conf");
  await Deno.writeTextFile(path, `[Interface]\nPrivateKey = ${SECRET}x\n`, { mode: 0o600 });
  const error = await assertRejects(() => readConfFile(path, silentLog), Error, "line 2");
  assertEquals((error as Error).message.includes(SECRET), false);
  await assertRejects(() => readConfFile(temp.path("wg1.conf"), silentLog), Error, "there is no such file");
  await Deno.writeTextFile(path, `[Interface]\nPrivateKey = ${SECRET}\n`);
  for (const [mode, directoryMode, warnings] of [[0o604, 0o755, 1], [0o604, 0o700, 0], [0o600, 0o755, 0]] as const) {
    await Deno.chmod(path, mode);
    await Deno.chmod(temp.path("."), directoryMode);
    const log = new LogCollector();
    await readConfFile(path, log);
    assertEquals(log.lines.filter(({ level }) => level === "warn").length, warnings);
  }
});

Deno.test("a private key is clamped, and its public key is X25519's", () => {
  const text = generatePrivateKey(new SeededRandom(3));
  const key = keyFromBase64(text)!;
  assertEquals([key[0]! & 7, key[31]! & 0b1100_0000], [0, 0b0100_0000]);
  // RFC 7748 §6.1: Alice's keys.
  const secret = Uint8Array.fromHex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a").toBase64();
  assertEquals(
    publicKeyOf(` ${secret}\n`, portablePrimitives),
    Uint8Array.fromHex(
      "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
    ).toBase64(),
  );
  assertThrows(() => publicKeyOf("hush", portablePrimitives), Error, "must be a key of 32 bytes");
});

Deno.test("commands need an answer whether they may run", async () => {
  const config = { ...emptyQuickConfig(), postUp: ["exit 7"] };
  const options = { interfaceName: "wg0", log: silentLog };
  assertThrows(() => new Hooks(config, { ...options, allowed: undefined }), Error, "(PostUp)");
  const log = new LogCollector();
  await new Hooks(config, { ...options, log, allowed: false }).run("postUp");
  assertStringIncludes(log.text("warn"), "left out hooks=PostUp");
  await assertRejects(() => new Hooks(config, { ...options, allowed: true }).run("postUp"), Error, "it gave 7");
  await new Hooks(emptyQuickConfig(), { ...options, allowed: undefined }).run("postUp");
});

Deno.test("a command under way ends with the stop, and with the cut if it takes no notice of that", async () => {
  using temp = new TempDirectory();
  for (const trap of ["", "trap '' TERM; "]) {
    const [soft, hard] = [new AbortController(), new AbortController()];
    const began = temp.path(`began${trap.length}`);
    await run("mkfifo", began);
    const config = { ...emptyQuickConfig(), preUp: [`${trap}echo %i > ${began}; exec sleep 100`] };
    const hooks = new Hooks(config, { interfaceName: "wg0", allowed: true, log: silentLog });
    const running = hooks.run("preUp", { signal: soft.signal, hardSignal: hard.signal });
    assertEquals(await Deno.readTextFile(began), "wg0\n");
    soft.abort(new Error("stop"));
    if (trap !== "") hard.abort(new Error("cut"));
    await assertRejects(() => running, Error, "stop");
  }
});

async function run(...[program, ...args]: [string, ...string[]]): Promise<void> {
  assert((await new Deno.Command(program, { args }).output()).success);
}

Deno.test("rights are the capability's, and without a word of the kernel root's", () => {
  const rights = (uid: number, capabilities?: string) => ({ uid, capabilities, hasTun: false });
  assertEquals(canAdministerNetwork(rights(0, "000001ffffffefff")), false);
  assertEquals(canAdministerNetwork(rights(1000, "0000000000001000")), true);
  assertEquals(canAdministerNetwork(rights(0)), true);
  assertEquals(canAdministerNetwork(rights(1000)), false);
  const what = { action: "bring up wg0", uses: ["a", "b", "c"] };
  assertThrows(
    () => requireRights(rights(1000, "0"), what),
    Error,
    "CAP_NET_ADMIN, to a, b and c; this process runs as user 1000",
  );
  assertThrows(() => requireTun(rights(0), "userspace", "wg0"), Error, "needs /dev/net/tun");
  requireTun(rights(0), "kernel", "wg0");
});

Deno.test("auto takes the kernel when it can, and says why when it cannot", () => {
  const maker = (reason?: string): DeviceMaker => ({
    kernelSupport: () => reason === undefined ? { available: true } : { available: false, reason },
    open: () => Promise.reject(new Error("not asked")),
  });
  assertEquals(chooseBackend("auto", maker(), silentLog), "kernel");
  assertEquals(chooseBackend("userspace", maker(), silentLog), "userspace");
  const log = new LogCollector();
  assertEquals(chooseBackend("auto", maker("no module"), log), "userspace");
  assertStringIncludes(log.text(), "reason=no module");
  assertThrows(() => chooseBackend("kernel", maker("no module"), silentLog), Error, "no module");
});

const STATUS = {
  privateKey: keyFromBase64(SECRET)!,
  publicKey: portablePrimitives.x25519PublicKey(keyFromBase64(SECRET)!),
  listenPort: 5,
  fwmark: 51820,
  peers: [],
};

Deno.test("shown as JSON a device has no secret; a dump of many names each line's interface", () => {
  const device = { name: "wg0", status: STATUS };
  assertEquals(JSON.stringify(publicStatus(device)).includes(SECRET), false);
  assertEquals(dumpText(device, true), `wg0\t${dumpText(device, false)}`);
});

Deno.test("a saved configuration has the device's settings, and a mark only where the file had one", () => {
  const config = { ...emptyQuickConfig(), mtu: 1300, postUp: ["x"] };
  const saved = savedConfig(config, STATUS);
  assertEquals([saved.listenPort, saved.mtu, saved.postUp, saved.fwmark], [5, 1300, ["x"], undefined]);
  assertEquals(savedConfig({ ...config, fwmark: 9 }, STATUS).fwmark, 51820);
});

Deno.test("a ready line is told from others in both of its forms", () => {
  assertEquals(["ready  wireguard  x", '{"ready":true,"role":"wireguard"}', "already up", "{}"].map(isReadyLine), [
    true,
    true,
    false,
    false,
  ]);
});

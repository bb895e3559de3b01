// one process holds everything: CPU per byte of the whole circuit
import { CircuitNetwork } from "../net/circuit/fixtures/circuit_network.ts";
import { CircuitsRig, MemoryPlaces } from "../net/circuit/fixtures/circuits_rig.ts";
import { openSealCrypto } from "../net/seal_crypto.ts";
import { memoryStreamPair } from "../net/memory.ts";
import { eventually } from "../testing/waiting.ts";
const suite = await openSealCrypto();
const rig = new CircuitsRig();
(rig as any).network = new CircuitNetwork(suite);
const direction = Deno.args[0] ?? "down";
const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
(async () => { for await (const c of listener) (async () => { const b = new Uint8Array(256*1024); try { if (direction === "down") for(;;) await c.write(b); else for(;;) if (await c.read(b) === null) break; } catch {} })(); })();
const onward = { async dial() { return await Deno.connect({ hostname: "127.0.0.1", port: (listener.addr as Deno.NetAddr).port }); }, close() {}, [Symbol.dispose]() {} };
for (let i = 0; i < 2; i++) rig.network.addRelay();
const { server } = rig.network.addGateway(onward as never, { links: 2 });
await eventually("up", () => server.relaysUp().length === 2);
const path = rig.path({ crypto: suite });
const s = await path.dial({ host: "x", port: 1 });
const b = new Uint8Array(256 * 1024);
import process from "node:process"; let cpu = process.cpuUsage();
let n = 0, t = 0, c0 = 0; const end = performance.now() + 6000;
while (performance.now() < end) {
  n += direction === "down" ? (await s.read(b))! : await s.write(b);
  if (t === 0 && performance.now() > end - 5000) { t = performance.now(); n = 0; cpu = process.cpuUsage(); }
}
const used = process.cpuUsage(cpu); console.log((n*8/((used.user+used.system))/1e3).toFixed(3), "Gbit per CPU second,", (used.user/(used.user+used.system)).toFixed(2), "user");
console.log(direction, (n * 8 / (performance.now() - t) / 1e6).toFixed(3), "Gbit/s in one process");
Deno.exit(0);

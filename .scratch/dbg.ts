import { CircuitsRig, ECHO } from "../net/circuit/fixtures/circuits_rig.ts";
const rig = await CircuitsRig.open(2);
const say = (level: string) => (m: string, f: unknown) => console.log(level, performance.now()|0, m, f);
const log = { debug: say("d"), info: say("i"), warn: say("w"), error: say("e"), child() { return log; }, with() { return log; } } as never;
const t0 = performance.now();
const path = rig.path({ log });
using s = await path.dial(ECHO);
console.log("dialled", performance.now() - t0);
await rig[Symbol.asyncDispose]();

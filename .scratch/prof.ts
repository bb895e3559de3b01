const p = JSON.parse(await Deno.readTextFile(Deno.args[0]!));
const self = new Map<string, number>(); const byId = new Map(p.nodes.map((n: any) => [n.id, n]));
const dt = p.timeDeltas; let total = 0;
p.samples.forEach((id: number, i: number) => { const n: any = byId.get(id); const f = n.callFrame; const k = `${f.functionName||"(anon)"} ${f.url.split("/").slice(-1)[0]}:${f.lineNumber+1}`; self.set(k, (self.get(k) ?? 0) + dt[i]); total += dt[i]; });
for (const [k, v] of [...self].sort((a, b) => b[1] - a[1]).slice(0, 30)) console.log((v / total * 100).toFixed(1).padStart(5), k);

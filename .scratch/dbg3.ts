let last = performance.now(); setInterval(()=>{const n=performance.now(); if(n-last>200) console.log("gap",n-last); last=n;},20);
await import("./dbg2.ts"); Deno.exit(0);

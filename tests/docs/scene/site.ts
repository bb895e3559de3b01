/**
 * A site out on the internet, over HTTP and HTTPS on the usual ports, that tells who is seen to ask:
 *
 *   site.ts chain.pem key.pem
 */

const [certFile, keyFile] = Deno.args as [string, string];
const [cert, key] = [Deno.readTextFileSync(certFile), Deno.readTextFileSync(keyFile)];
const answer = (_: Request, { remoteAddr }: Deno.ServeHandlerInfo<Deno.NetAddr>) =>
  new Response(`${remoteAddr.hostname}\n`);
const servers = [
  Deno.serve({ hostname: "0.0.0.0", port: 80, onListen() {} }, answer),
  Deno.serve({ hostname: "0.0.0.0", port: 443, cert, key, onListen() {} }, answer),
];
console.log("ready  site");
Deno.addSignalListener(
  "SIGTERM",
  () => void Promise.all(servers.map((server) => server.shutdown())).then(() => Deno.exit(0)),
);

/**
 * Servers of one folder, ours and other people's, each a process on 127.0.0.1: nginx with sendfile and one worker, and caddy, as
 * Debian packages them and with what they write in a temporary folder.
 */

import { findTool } from "../testing/requirements.ts";
import { freePort, Program } from "../testing/program.ts";
import { load } from "./loads.ts";
import { temporaryFolder } from "./rivals.ts";

export interface RunningFileServer extends AsyncDisposable {
  readonly name: string;
  /** Of the folder, without a slash at its end. */
  readonly url: string;
  readonly program: Program;
}

export interface FileServerKind {
  readonly name: string;
  /** The program it is, or undefined for what is ours. */
  readonly tool?: string;
  start(folder: string): Promise<RunningFileServer>;
}

const HOST = "127.0.0.1";

export const ourFileServer: FileServerKind = {
  name: "culvert",
  async start(folder) {
    await using resources = new AsyncDisposableStack();
    const program = resources.use(load("file-server", { folder }));
    const { origin } = await program.readJson();
    return kept("culvert", `${origin}/content`, program, resources);
  },
};

export const nginx: FileServerKind = {
  name: "nginx",
  tool: "nginx",
  start: (folder) =>
    running("nginx", async (own, port) => {
      await Deno.writeTextFile(`${own}/nginx.conf`, nginxConfig(own, folder, port));
      return { command: [findTool("nginx")!, "-c", `${own}/nginx.conf`, "-e", `${own}/error.log`] };
    }),
};

export const caddy: FileServerKind = {
  name: "caddy",
  tool: "caddy",
  start: (folder) =>
    running("caddy", async (own, port) => {
      await Deno.writeTextFile(`${own}/caddy.json`, JSON.stringify(caddyConfig(folder, port)));
      return {
        command: [findTool("caddy")!, "run", "--config", `${own}/caddy.json`],
        env: { HOME: own, XDG_DATA_HOME: own, XDG_CONFIG_HOME: own },
      };
    }),
};

/** Of these, what this machine has, and the names of the others. */
export function presentServers(kinds: readonly FileServerKind[]): { kinds: FileServerKind[]; missing: string[] } {
  const isHere = ({ tool }: FileServerKind) => tool === undefined || findTool(tool) !== undefined;
  return { kinds: kinds.filter(isHere), missing: kinds.filter((kind) => !isHere(kind)).map(({ name }) => name) };
}

interface Started {
  readonly command: readonly [string, ...string[]];
  readonly env?: Record<string, string>;
}

async function running(
  name: string,
  prepare: (own: string, port: number) => Promise<Started>,
): Promise<RunningFileServer> {
  await using resources = new AsyncDisposableStack();
  const own = await temporaryFolder(resources);
  const port = freePort();
  const { command, env } = await prepare(own, port);
  const program = resources.use(new Program(command, { quiet: true, ...env && { env } }));
  await program.waitForPort({ host: HOST, port });
  return kept(name, `http://${HOST}:${port}`, program, resources);
}

function kept(name: string, url: string, program: Program, resources: AsyncDisposableStack): RunningFileServer {
  const moved = resources.move();
  return { name, url, program, [Symbol.asyncDispose]: () => moved.disposeAsync() };
}

function nginxConfig(own: string, folder: string, port: number): string {
  const places = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  return [
    "daemon off;",
    // Its worker would be somebody else, who cannot see the temporary folder.
    ...Deno.uid() === 0 ? ["user root;"] : [],
    "worker_processes 1;",
    `pid ${own}/nginx.pid;`,
    "events { worker_connections 1024; }",
    "http {",
    "  access_log off;",
    "  sendfile on;",
    "  tcp_nopush on;",
    "  keepalive_requests 1000000000;",
    ...places.map((place) => `  ${place}_temp_path ${own}/${place};`),
    `  server { listen ${HOST}:${port}; root ${folder}; }`,
    "}",
    "",
  ].join("\n");
}

function caddyConfig(folder: string, port: number): object {
  const routes = [{ handle: [{ handler: "file_server", root: folder }] }];
  const server = { listen: [`${HOST}:${port}`], routes, automatic_https: { disable: true } };
  return {
    admin: { disabled: true },
    logging: { logs: { default: { level: "ERROR" } } },
    apps: { http: { servers: { files: server } } },
  };
}

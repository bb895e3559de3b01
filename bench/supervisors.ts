/**
 * Other people's supervisors, as Debian packages them, each with one listener to keep up and all else in a temporary
 * folder. Disposing one ends it; monit leaves its listener running, which is for the caller to end.
 */

import { findTool } from "../testing/requirements.ts";
import { start, temporaryFolder } from "./rivals.ts";
import type { Listener } from "./supervised.ts";

export interface RivalSupervisor {
  readonly name: string;
  readonly tool: string;
  start(listener: Listener, resources: AsyncDisposableStack): Promise<void>;
}

const supervisor: RivalSupervisor = {
  name: "supervisor",
  tool: "supervisord",
  async start({ command }, resources) {
    const folder = await temporaryFolder(resources);
    const file = `${folder}/supervisord.conf`;
    await Deno.writeTextFile(
      file,
      [
        "[supervisord]",
        "nodaemon=true",
        "silent=true",
        "logfile=/dev/null",
        "logfile_maxbytes=0",
        `pidfile=${folder}/supervisord.pid`,
        "[program:listener]",
        `command=${command.join(" ")}`,
        "autorestart=true",
        "",
      ].join("\n"),
    );
    resources.use(start("supervisord", ["-n", "-c", file]));
  },
};

const runit: RivalSupervisor = {
  name: "runit",
  tool: "runsv",
  async start({ command }, resources) {
    const folder = await temporaryFolder(resources);
    await Deno.writeTextFile(`${folder}/run`, `#!/bin/sh\nexec ${command.join(" ")}\n`, { mode: 0o755 });
    resources.use(start("runsv", [folder]));
  },
};

/** It looks at its processes one time after another, at the shortest every second; as packaged, every two minutes. */
const monit: RivalSupervisor = {
  name: "monit",
  tool: "monit",
  async start({ command }, resources) {
    const folder = await temporaryFolder(resources);
    const file = `${folder}/monitrc`;
    // Without -f busybox goes into the background by itself, which is what monit wants of a start.
    const daemon = command.filter((word) => word !== "-f").join(" ");
    await Deno.writeTextFile(
      file,
      [
        "set daemon 1",
        `set pidfile ${folder}/monit.pid`,
        `set idfile ${folder}/monit.id`,
        `set statefile ${folder}/monit.state`,
        `check process listener matching "^${daemon}"`,
        `  start program = "${daemon}"`,
        `  stop program = "/bin/true"`,
        "",
      ].join("\n"),
      { mode: 0o600 },
    );
    resources.use(start("monit", ["-I", "-c", file]));
  },
};

export const rivalSupervisors: readonly RivalSupervisor[] = [supervisor, runit, monit];

/** Those this machine has, and the names of the others. */
export function presentSupervisors(): { readonly rivals: RivalSupervisor[]; readonly missing: string[] } {
  const isHere = ({ tool }: RivalSupervisor) => findTool(tool) !== undefined;
  return {
    rivals: rivalSupervisors.filter(isHere),
    missing: rivalSupervisors.filter((rival) => !isHere(rival)).map(({ name }) => name),
  };
}

/**
 * `culvert kcp-secret`, `kcp-ping`, `kcp-dump` and `kcp-doctor` as roles; what they do is in the files of their names.
 */

import { defineRole, type Role } from "../role.ts";
import { doctorConfig, runDoctor } from "./doctor.ts";
import { dumpConfig, runDump } from "./dump.ts";
import { pingConfig, runPing } from "./ping.ts";
import { runSecret, secretConfig } from "./secret.ts";

export const secretRole: Role<typeof secretConfig> = defineRole({
  name: "kcp-secret",
  summary: "Makes keys: of a server, a client's secret, or a passphrase for other dialects.",
  config: secretConfig,
  examples: ["culvert kcp secret passphrase", "culvert kcp secret client --name alice"],
  longRunning: false,
  run: runSecret,
});

export const pingRole: Role<typeof pingConfig> = defineRole({
  name: "kcp-ping",
  summary: "Whether a server answers, and how long both ways take.",
  config: pingConfig,
  examples: [
    "CULVERT_KEY=CREDENTIAL culvert kcp ping server.example:4000",
    "CULVERT_KEY=K culvert kcp ping 192.0.2.7:29900 --dialect kcptun --mtu",
  ],
  longRunning: false,
  run: runPing,
});

export const dumpRole: Role<typeof dumpConfig> = defineRole({
  name: "kcp-dump",
  summary: "Shows the packets of a port, and with a key what is in them.",
  config: dumpConfig,
  examples: ["sudo culvert kcp dump 45000-45007", "sudo CULVERT_KEY=K culvert kcp dump 29900 --count 20"],
  longRunning: false,
  run: runDump,
});

export const doctorRole: Role<typeof doctorConfig> = defineRole({
  name: "kcp-doctor",
  summary: "Says in words what keeps a client from its server, and what to do about it.",
  config: doctorConfig,
  examples: [
    "sudo CULVERT_KEY=CREDENTIAL culvert kcp doctor 192.0.2.7:4000 --carrier raw",
    "sudo culvert kcp doctor --listen 4000",
  ],
  longRunning: false,
  run: runDoctor,
});

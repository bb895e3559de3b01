/**
 * What a service says of itself by sd_notify(3): one datagram of `KEY=VALUE` lines.
 *
 *   READY=1⏎STATUS=listening on 127.0.0.1:1080⏎      WATCHDOG=1⏎      STOPPING=1⏎
 *
 * Other keys are skipped, as the manual asks. A status is cut and its control characters are taken out: it comes from
 * whatever runs there and ends up on terminals.
 */

/** What one datagram says. */
export interface Notice {
  readonly ready: boolean;
  readonly alive: boolean;
  readonly stopping: boolean;
  readonly status?: string;
}

/** Beyond any that is meant well. */
export const MAX_NOTICE_BYTES = 4096;
export const MAX_STATUS_LENGTH = 200;

/** A role of ours that has been silent for so long hangs; it says that it is alive twice in this time. */
export const NOTIFY_WATCHDOG_MS = 30_000;

/** Undefined when it says nothing that is known. */
export function readNotice(text: string): Notice | undefined {
  const lines = new Set(text.split("\n"));
  const notice = { ready: lines.has("READY=1"), alive: lines.has("WATCHDOG=1"), stopping: lines.has("STOPPING=1") };
  const status = [...lines].find((line) => line.startsWith("STATUS="))?.slice("STATUS=".length);
  if (status !== undefined) return { ...notice, status: oneStatusLine(status) };
  return notice.ready || notice.alive || notice.stopping ? notice : undefined;
}

/** The datagram that says it. */
export function noticeText({ ready, alive, stopping, status }: Partial<Notice>): string {
  const lines = [
    ...ready ? ["READY=1"] : [],
    ...stopping ? ["STOPPING=1"] : [],
    ...alive ? ["WATCHDOG=1"] : [],
    ...status === undefined ? [] : [`STATUS=${oneStatusLine(status)}`],
  ];
  return lines.map((line) => `${line}\n`).join("");
}

/** Printable, on one line, short. */
function oneStatusLine(status: string): string {
  return status.replaceAll(/[\p{C}\s]+/gu, " ").trim().slice(0, MAX_STATUS_LENGTH).toWellFormed();
}

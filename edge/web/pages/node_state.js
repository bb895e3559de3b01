/**
 * What state a node is in and what that means for its owner, in words: above all why it gets no traffic.
 */

import { duration, plural, standingOf } from "../lib/words.js";

/** @import { NodeView } from "../../orchestrator/api.ts" */
/** @import { PauseReason } from "../../../protocol/sharing/node_messages.ts" */
/** @import { Tone } from "../lib/words.js" */

/**
 * `headline` is the one thing to know; `tone` is how grave it is; `advice` is what to do about it, if anything.
 * @typedef {{ label: string, tone: Tone, headline: string, advice?: string | undefined }} NodeState
 */

/** @type {Record<PauseReason, Omit<NodeState, "tone">>} */
const pauses = {
  owner: {
    label: "Paused",
    headline: "You have paused it.",
    advice: "To go on: culvert node resume, on its machine.",
  },
  schedule: {
    label: "Paused",
    headline: "It is paused: this is outside the hours you have set.",
    advice: "It goes on by itself when the next hours of its schedule begin.",
  },
  daily_cap: {
    label: "Cap reached",
    headline: "Today's cap is used up.",
    advice: "It goes on by itself tomorrow, or with a higher --daily-cap.",
  },
  monthly_cap: {
    label: "Cap reached",
    headline: "This month's cap is used up.",
    advice: "It goes on by itself when the next month begins, or with a higher --monthly-cap.",
  },
  battery: {
    label: "Paused",
    headline: "It is paused: the machine runs on battery, and that is low.",
    advice: "It goes on by itself once the machine is plugged in or charged.",
  },
  metered: {
    label: "Paused",
    headline: "It is paused: the machine's connection is metered.",
    advice: "It goes on by itself on one that is not, or with --metered share.",
  },
  other: {
    label: "Paused",
    headline: "It is paused for a reason of its own.",
    advice: "culvert node status, on its machine, says which.",
  },
};

/**
 * @param {NodeView} node
 * @param {number} nowMs
 * @returns {NodeState}
 */
export function nodeState(node, nowMs) {
  const barred = barredState(node);
  if (barred) return barred;
  const { live } = node;
  if (!live) {
    return {
      label: "Offline",
      tone: "quiet",
      headline: `It is not connected; it was last seen ${duration(nowMs - node.lastSeenAtMs)} ago.`,
      advice: "Start it again on its machine: culvert node. If it runs, look at its log for why it cannot connect.",
    };
  }
  return heldState(live) ?? openState(node, live, nowMs);
}

/**
 * Banned and quarantined nodes get nothing, whatever else they do.
 * @param {NodeView} node
 * @returns {NodeState | undefined}
 */
function barredState(node) {
  if (node.standing !== "banned" && node.standing !== "quarantined") return undefined;
  const { label, meaning } = standingOf(node.standing);
  const reason = node.reasons[0]?.reason;
  return {
    label,
    tone: "bad",
    headline: reason ? `${label} because: ${sentence(reason)}` : `${label}. No reason was given.`,
    advice: appealAdvice(node) ?? meaning,
  };
}

/**
 * What the node holds back of itself: its owner's rules, or that it is about to stop.
 * @param {NonNullable<NodeView["live"]>} live
 * @returns {NodeState | undefined}
 */
function heldState({ isOpen, status }) {
  if (status?.pausedFor !== undefined) return { tone: "warn", ...pauses[status.pausedFor] };
  if (isOpen) return undefined;
  return {
    label: "Closing",
    tone: "warn",
    headline: "It takes no new connections: it is about to stop, or was paused.",
    advice: "If that is not what you want, start it again, or: culvert node resume, on its machine.",
  };
}

/**
 * @param {NodeView} node
 * @param {NonNullable<NodeView["live"]>} live
 * @param {number} nowMs
 * @returns {NodeState}
 */
function openState(node, live, nowMs) {
  const carries = live.streams > 0
    ? `It carries ${plural(live.streams, "connection")} now.`
    : `It has been connected and ready for ${
      duration(nowMs - live.connectedAtMs)
    }, but nobody goes through it at the moment.`;
  if (node.standing === "flagged") {
    const reason = node.reasons[0]?.reason;
    return {
      label: "Flagged",
      tone: "warn",
      headline: `${carries} It gets less traffic because: ${reason ? sentence(reason) : "no reason was given."}`,
      advice: appealAdvice(node) ?? "Traffic comes back once the reason is gone. You can appeal.",
    };
  }
  if (node.standing === "probation") {
    return { label: "Probation", tone: "info", headline: carries, advice: standingOf("probation").meaning };
  }
  if (live.streams > 0) return { label: "Online", tone: "good", headline: carries };
  return {
    label: "Online",
    tone: "good",
    headline: carries,
    advice: node.score < 0.5
      ? `Its quality is ${
        percent(node.score)
      }: clients are sent to steadier nodes first. A wired connection and fewer breaks raise it.`
      : "That is usual: traffic comes when clients want its country or city.",
  };
}

/** @param {NodeView} node */
function appealAdvice({ appeal }) {
  if (!appeal) return undefined;
  if (appeal.answer === undefined) return "You have appealed; an admin will answer.";
  return `You appealed, and the answer was: ${sentence(appeal.answer)}`;
}

/** @param {NodeView} node */
export function mayAppeal({ standing, appeal }) {
  if (standing !== "flagged" && standing !== "quarantined" && standing !== "banned") return false;
  return appeal === undefined || appeal.answer !== undefined;
}

/**
 * The one figure for quality, the same wherever it is shown.
 * @param {number} share
 */
export function percent(share) {
  return `${Math.round(share * 100)} %`;
}

/** @param {string} text */
function sentence(text) {
  return /[.!?…]$/.test(text) ? text : `${text}.`;
}

/**
 * What the orchestrator's owner decides: where it listens, what things cost, who may join. Stores have flags of their own
 * (`stores.ts`), and so have payments.
 */

import { parse as parseToml } from "@std/toml";
import { z } from "zod";
import { messageOf } from "../../protocol/errors.ts";
import { nameSchema } from "../../protocol/fields.ts";
import { formatMicros, type Micros, parseMicros } from "../../protocol/sharing/money.ts";
import { MAX_MICROS_PER_GIB, PriceList, priceListSchema } from "../../protocol/sharing/prices.ts";
import { ConfigError } from "../config.ts";
import { byteSize, durationMs, filePath, listenAddress, secret, targetAddress } from "../fields.ts";
import { tlsFlags } from "../tls_files.ts";

const name = () => nameSchema.meta({ placeholder: "name" });

function money(fallback: string): z.ZodType<Micros> {
  return z.string().meta({ placeholder: "amount", defaultText: fallback }).default(fallback).transform(
    (text, context) => {
      const micros = parseMicros(text);
      if (micros !== undefined && micros >= 0n && micros <= MAX_MICROS_PER_GIB) return micros;
      context.issues.push({ code: "custom", message: "a decimal such as 1.50, from 0 to 1000", input: text });
      return z.NEVER;
    },
  );
}

export const orchestratorFlags = {
  listen: listenAddress("127.0.0.1:8490").describe("Where nodes, pages and the API are found."),
  proxyListen: listenAddress("127.0.0.1:1090").describe("Where clients' programs find the proxy: SOCKS5 and HTTP."),
  ...tlsFlags,
  publicUrl: z.url({ protocol: /^https?$/ }).optional().meta({ placeholder: "url" })
    .describe("How --listen is reached from outside, such as https://share.example; nodes are probed by it."),
  publicProxy: targetAddress().optional()
    .describe("How --proxy-listen is reached from outside, as clients are told it."),
  behindProxy: z.boolean().default(false)
    .describe("All requests to --listen come through a reverse proxy of ours: believe its X-Forwarded-For."),
  telegramBot: z.string().regex(/^[A-Za-z0-9_]{5,64}$/, "a bot's name without @").optional()
    .describe("The Telegram bot that people log in with; needs --telegram-token.").meta({ placeholder: "name" }),
  telegramToken: secret().optional().describe("The bot's token, from @BotFather."),
  title: z.string().min(1).max(64).default("Culvert").describe("What pages call this orchestrator."),
  signUp: z.enum(["invited", "open"]).default("invited")
    .describe("Who may open an account: who was invited, or anybody who logs in by Telegram.").meta({
      placeholder: "who",
    }),
  currency: z.string().regex(/^[A-Z]{3}$/, "three capital letters such as USD").default("USD")
    .describe("What money is counted in; all of it in one currency, for ever.").meta({ placeholder: "code" }),
  price: money("1.00").describe("What a GiB costs a client where --prices says nothing else."),
  feePercent: z.number().min(0).max(100).default(20).describe("What the house keeps of each charge, in percent.")
    .meta({ placeholder: "percent" }),
  prices: filePath().optional().describe("Prices by region and tier, in place of --price; a TOML file."),
  region: name().default("world").describe("The region of nodes that do not say where they are."),
  tick: durationMs("2s", { minMs: 100, maxMs: 60_000 }).describe(
    "How often charges are written: what a crash may lose.",
  ),
  smallestTopUp: money("5.00").describe("The least that can be paid in."),
  smallestPayout: money("10.00").describe("The least that is paid out."),
  payoutWait: durationMs("7d").describe("How long a payout waits at least, for fraud to come to light."),
  egressPolicy: filePath().optional()
    .describe("What no client may reach through any node; a TOML file, followed while it changes."),
  maxConnections: z.number().int().min(1).max(1_000_000).default(1_000)
    .describe("Connections of one client at once, unless its account says otherwise."),
  maxTargetsPerMinute: z.number().int().min(1).max(1_000_000).default(600)
    .describe("Different destinations of one client in a minute; more looks like a scan."),
  maxClientRate: byteSize().optional().describe("Bytes a second of one client; as fast as it goes without it."),
  ipRanges: filePath().optional().describe("Networks that are known to be bad or datacentres': one a line, with why."),
  ipqsKeyFile: filePath().optional().describe("A file with a key of IPQualityScore, to ask about nodes' addresses."),
};

export type OrchestratorSettings = z.output<z.ZodObject<typeof orchestratorFlags>>;

/** The column of the price list that new accounts are in. */
export const FIRST_TIER = "standard";

/** The prices of `--prices`, or one for everything. */
export async function readPrices(
  { price, feePercent, prices }: Pick<OrchestratorSettings, "price" | "feePercent" | "prices">,
): Promise<PriceList> {
  const feeBasisPoints = Math.round(feePercent * 100);
  if (prices === undefined) return new PriceList({ feeBasisPoints, rules: [{ perGib: formatMicros(price) }] });
  const action = "start the orchestrator";
  let file: unknown;
  try {
    file = parseToml(await Deno.readTextFile(prices));
  } catch (error) {
    throw new ConfigError(action, [`--prices ${prices} cannot be read: ${messageOf(error)}`]);
  }
  const parsed = priceListSchema.safeParse({ feeBasisPoints, ...file as object });
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0]!;
    throw new ConfigError(action, [`--prices ${prices}: ${path.join(".")} is wrong: ${message}`]);
  }
  try {
    return new PriceList(parsed.data);
  } catch (error) {
    throw new ConfigError(action, [`--prices ${prices}: ${messageOf(error)}`]);
  }
}

/** How nodes and browsers reach the port. */
export function publicUrlOf(
  { publicUrl, certFile }: Pick<OrchestratorSettings, "publicUrl" | "certFile">,
  address: string,
): URL {
  const url = new URL(publicUrl ?? `${certFile === undefined ? "http" : "https"}://${address}`);
  if (url.pathname === "/" && url.search === "" && url.hash === "") return url;
  throw new ConfigError("start the orchestrator", [`--public-url must have no path, got ${url.pathname}`]);
}

/** The bot that logs people in, if there is one. */
export function botOf(
  { telegramBot, telegramToken }: Pick<OrchestratorSettings, "telegramBot" | "telegramToken">,
): { readonly botName: string; readonly botToken: string } | undefined {
  if (telegramBot !== undefined && telegramToken !== undefined) {
    return { botName: telegramBot, botToken: telegramToken };
  }
  if (telegramBot === undefined && telegramToken === undefined) return undefined;
  throw new ConfigError("start the orchestrator", [
    "--telegram-bot and --telegram-token must be given together, got one",
  ]);
}

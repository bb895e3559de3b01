/**
 * Signing in by Telegram without a script of theirs, which the page's policy would not let in: Telegram's own page is gone
 * to and comes back with its answer in the address's fragment; as a Mini App, the page is opened with one.
 *
 * Documented at core.telegram.org/widgets/login and core.telegram.org/bots/webapps; the server checks what is in them.
 */

/**
 * Where signing in begins, when there is a bot for it.
 * @param {string | undefined} botId
 * @returns {string | undefined}
 */
export function telegramLoginUrl(botId) {
  if (botId === undefined) return undefined;
  const url = new URL("https://oauth.telegram.org/auth");
  url.search = new URLSearchParams({
    bot_id: botId,
    origin: location.origin,
    return_to: `${location.origin}/`,
    request_access: "write",
  }).toString();
  return url.href;
}

/**
 * What Telegram has put into the fragment: the widget's fields, or a Mini App's data as it is.
 * @param {string} fragment
 * @returns {{ widget: Record<string, string | number> } | { initData: string } | undefined}
 */
export function telegramAnswer(fragment) {
  const fields = new URLSearchParams(fragment.replace(/^#/, ""));
  const initData = fields.get("tgWebAppData");
  if (initData) return { initData };
  const result = fields.get("tgAuthResult");
  if (!result) return undefined;
  try {
    const base64 = result.replaceAll("-", "+").replaceAll("_", "/").replaceAll(" ", "+");
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    const widget = JSON.parse(new TextDecoder().decode(bytes));
    return typeof widget === "object" && widget !== null ? { widget } : undefined;
  } catch {
    return undefined;
  }
}

/**
 * The user name a program logs in to the proxy with, which also says what way is wanted; and the lines that use it. The same
 * grammar as `protocol/sharing/proxy_login.ts`.
 */

/**
 * @typedef {{
 *   userId: string,
 *   country?: string | undefined,
 *   region?: string | undefined,
 *   city?: string | undefined,
 *   node?: string | undefined,
 *   session?: string | undefined,
 *   ttlMinutes?: number | undefined,
 *   isStrict?: boolean,
 * }} LoginChoice
 */

/**
 * @param {LoginChoice} choice
 * @returns {string}
 */
export function loginName({ userId, country, region, city, node, session, ttlMinutes, isStrict = false }) {
  // A hyphen separates; in names an underscore stands for it.
  const named = (/** @type {string} */ key, /** @type {string | undefined} */ value) =>
    value ? [key, value.replaceAll("-", "_")] : [];
  return [
    userId,
    ...named("country", country),
    ...named("region", region),
    ...named("city", city),
    ...(node ? ["node", node] : []),
    ...(session ? ["session", session] : []),
    ...(session && ttlMinutes !== undefined ? ["ttl", `${ttlMinutes}m`] : []),
    ...(session && isStrict ? ["strict"] : []),
  ].join("-");
}

/**
 * What stands for a secret that nobody here knows.
 */
export const SECRET_PLACE = "YOUR_PROXY_SECRET";

/**
 * @typedef {{ host: string, port: number, login: string, secret: string }} ProxyUse
 */

/**
 * @param {"socks5h" | "http"} scheme
 * @param {ProxyUse} use
 */
export function proxyUrl(scheme, { host, port, login, secret }) {
  const name = host.includes(":") ? `[${host}]` : host;
  return `${scheme}://${encodeURIComponent(login)}:${encodeURIComponent(secret)}@${name}:${port}`;
}

/**
 * A line for a shell: shows the address that the other side sees.
 * @param {"socks5h" | "http"} scheme
 * @param {ProxyUse} use
 */
export function curlLine(scheme, use) {
  return `curl --proxy '${proxyUrl(scheme, use).replaceAll("'", "%27")}' https://api.ipify.org`;
}

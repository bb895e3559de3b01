/**
 * Where one is in the pages, as the address's fragment says it:
 *
 *   #/files/photos/2026/      a folder        #/peer/ID/files/…  the same of another peer
 *   #/view/photos/map.png     a file          #/view/notes.md?at=summary  a place in it
 *   #/find/holiday            what is found   #/peers  #/sent
 *
 * Parts of paths are encoded each for itself, so that whatever a name holds stays one part.
 */

/**
 * @typedef {{ kind: "folder" | "file", path: string, peerId?: string | undefined, at?: string | undefined }} FilePlace
 * @typedef {{ kind: "find", query: string, peerId?: string | undefined }} FindPlace
 * @typedef {FilePlace | FindPlace | { kind: "peers" } | { kind: "sent" }} Place
 */

const HOME = /** @type {const} */ ({ kind: "folder", path: "" });

/**
 * @param {string} path
 */
export function encodePath(path) {
  return path.split("/").map((part) => encodeURIComponent(part.toWellFormed())).join("/");
}

/**
 * The fragment of a place, with its `#`.
 * @param {Place} place
 */
export function hrefOf(place) {
  if (place.kind === "peers" || place.kind === "sent") return `#/${place.kind}`;
  const start = place.peerId === undefined ? "#/" : `#/peer/${place.peerId}/`;
  if (place.kind === "find") return `${start}find/${encodeURIComponent(place.query.toWellFormed())}`;
  if (place.kind === "folder") return `${start}files/${place.path === "" ? "" : `${encodePath(place.path)}/`}`;
  return `${start}view/${encodePath(place.path)}${place.at ? `?at=${encodeURIComponent(place.at)}` : ""}`;
}

/**
 * The place a fragment names; home for what names none.
 * @param {string} hash
 * @returns {Place}
 */
export function placeOf(hash) {
  if (hash === "#/peers" || hash === "#/sent") return { kind: hash === "#/peers" ? "peers" : "sent" };
  const [, peerId, kind, rest = "", at] =
    /^#\/(?:peer\/([a-z2-7]{26})\/)?(files|view|find)\/([^?]*)(?:\?at=(.*))?$/.exec(hash) ?? [];
  const text = decode(rest);
  if (kind === undefined || text === undefined) return HOME;
  const whose = peerId === undefined ? {} : { peerId };
  if (kind === "find") return { kind: "find", query: text, ...whose };
  const path = text.replace(/\/$/, "");
  if (path !== "" && path.split("/").some((part) => part === "" || part === "." || part === "..")) return HOME;
  if (kind === "files") return { kind: "folder", path, ...whose };
  return { kind: "file", path, at: at === undefined ? undefined : decode(at), ...whose };
}

/** @param {string} path */
export function parentOf(path) {
  return path.slice(0, Math.max(0, path.lastIndexOf("/")));
}

/** @param {string} path */
export function nameOf(path) {
  return path.slice(path.lastIndexOf("/") + 1);
}

/**
 * A name or path as it is shown: what turns the order of letters round, or is not seen at all, would make it look like another.
 * @param {string} text
 */
export function shown(text) {
  return text.replace(/[\p{Cc}\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/gu, "\ufffd");
}

/**
 * The folders on the way to a path, from the top, and it itself.
 * @param {string} path
 * @returns {string[]}
 */
export function wayTo(path) {
  const parts = path === "" ? [] : path.split("/");
  return parts.map((_, at) => parts.slice(0, at + 1).join("/"));
}

/** @param {string} text */
function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

/**
 * What a browser is to do with an answer, and how to call the file: `Content-Disposition`, RFC 6266, with names beyond ASCII as
 * RFC 8187 has them.
 *
 *   attachment; filename="fa_ade.txt"; filename*=UTF-8''fa%C3%A7ade.txt
 */

export function contentDisposition(kind: "inline" | "attachment", name: string): string {
  // Browsers undo percent escapes in the plain form, some do; so it has none.
  const plain = name.replace(/[^\x20-\x7e]|["\\%]/gu, "_");
  const start = `${kind}; filename="${plain}"`;
  return plain === name ? start : `${start}; filename*=UTF-8''${encodeExtended(name)}`;
}

/** All but `attr-char`, RFC 8187 §3.2.1. */
function encodeExtended(name: string): string {
  return encodeURIComponent(name.toWellFormed())
    .replace(/['()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
}

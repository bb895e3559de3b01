/** A file: what can be shown of it, and what is known of it. */

import { copyable, when } from "../lib/controls.js";
import { h, icon, replaceChildren } from "../lib/dom.js";
import { ApiError } from "../lib/http.js";
import { section } from "../lib/section.js";
import { bytes } from "../lib/words.js";
import { fileHead } from "./head.js";
import { hrefOf, nameOf, shown } from "./places.js";
import { preview } from "./previews.js";
import { Source } from "./source.js";

/** @import { PageContext } from "./app.js" */
/** @import { FilePlace } from "./places.js" */

/**
 * @param {FilePlace} place
 * @param {PageContext} context
 */
export function filePage({ path, peerId, at }, context) {
  const { signal } = context;
  const source = new Source(peerId);
  const name = shown(nameOf(path));
  const facts = h("span");
  const { element } = section({
    signal,
    load: (signal) => headOf(source, path, signal),
    show: (head) => {
      if (!head) {
        location.replace(hrefOf({ kind: "folder", path, peerId }));
        return undefined;
      }
      replaceChildren(
        facts,
        bytes(head.size),
        head.modifiedMs !== undefined && [" · ", when(head.modifiedMs)],
        " · ",
        head.type,
      );
      return [
        h("section", { class: "card preview" }, preview({ source, path, name, head, at, signal })),
        head.root !== undefined && h(
          "section",
          { class: "card" },
          h("h2", {}, "Content"),
          h(
            "p",
            { class: "soft" },
            "The hash of what is in it: whoever has the same content has it under the same hash.",
          ),
          copyable("hash", head.root),
        ),
      ];
    },
    class: "stack",
  });
  return h(
    "div",
    { class: "page" },
    fileHead({
      source,
      path,
      context,
      title: h("bdi", {}, name),
      about: facts,
      actions: [
        h("a", { class: "button", href: source.contentUrl(path), target: "_blank", rel: "noopener" }, "Open"),
        h("a", { class: "button primary", href: source.downloadUrl(path), download: name }, icon("down"), "Download"),
      ],
    }),
    element,
  );
}

/**
 * Undefined for a folder: links in texts do not say what they lead to.
 * @param {Source} source
 * @param {string} path
 * @param {AbortSignal} signal
 */
async function headOf(source, path, signal) {
  try {
    return await source.head(path, signal);
  } catch (error) {
    // By way of the gateway a folder leads nowhere.
    const isElsewhere = error instanceof ApiError &&
      (error.status === 404 || (error.status >= 300 && error.status < 400));
    if (!isElsewhere) throw error;
    await source.folder(path, { signal, query: { limit: 1 } });
    return undefined;
  }
}

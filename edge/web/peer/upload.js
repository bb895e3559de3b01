/**
 * Putting files into a folder: by a button, or by dropping them anywhere on the page. One after the other, each with its
 * progress; a file that is there already is replaced only when one says so.
 */

import { h, icon } from "../lib/dom.js";
import { toast } from "../lib/toast.js";
import { bytes, plural } from "../lib/words.js";

/** @import { Source } from "./source.js" */

const TRY_AGAIN_MS = 1000;
const MAX_TRIES = 10;
/** What a server says of a file that is there already, or is another than the one to be replaced. */
const ALREADY_THERE = ["exists", "changed"];

/**
 * @param {{ source: Source, path: string, signal: AbortSignal, done: () => void }} options `path`: of the folder; `done`: after
 *   each file
 */
export function uploads({ source, path, signal, done }) {
  const element = h("ul", { class: "uploads", "aria-label": "Uploads" });
  const picker = h("input", { type: "file", multiple: true, hidden: true });
  const pick = h("button", { type: "button", class: "primary" }, icon("up"), "Upload");
  /** @type {Promise<unknown>} */
  let queue = Promise.resolve();

  /** @param {readonly File[]} files */
  function add(files) {
    for (const file of files) {
      const item = uploadItem({ file, path: path === "" ? file.name : `${path}/${file.name}`, source, signal, done });
      element.append(item.element);
      queue = queue.then(() => item.start());
    }
    if (files.length > 0) toast(`Uploading ${plural(files.length, "file")}`);
  }

  pick.addEventListener("click", () => picker.click());
  picker.addEventListener("change", () => {
    add([...picker.files ?? []]);
    picker.value = "";
  });
  acceptDrops(add, signal);
  return { button: h("span", {}, pick, picker), element };
}

/**
 * @param {(files: readonly File[]) => void} add
 * @param {AbortSignal} signal
 */
function acceptDrops(add, signal) {
  const root = document.documentElement;
  const leave = () => root.classList.remove("dropping");
  document.addEventListener("dragover", (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    root.classList.add("dropping");
  }, { signal });
  document.addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) leave();
  }, { signal });
  document.addEventListener("drop", (event) => {
    leave();
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    const items = [...event.dataTransfer.items];
    const files = [...event.dataTransfer.files];
    const isFolder = items.map((item) => item.webkitGetAsEntry?.()?.isDirectory ?? false);
    if (isFolder.includes(true)) toast("Folders cannot be uploaded here: drop the files in them", { tone: "bad" });
    add(files.filter((_, at) => !isFolder[at]));
  }, { signal });
  signal.addEventListener("abort", leave, { once: true });
}

/**
 * @param {{ file: File, path: string, source: Source, signal: AbortSignal, done: () => void }} options
 */
function uploadItem({ file, path, source, signal, done }) {
  const progress = h("progress", { max: 1, value: 0, "aria-label": `Upload of ${file.name}` });
  const state = h("span", { class: "soft small-text" }, "waits");
  const element = h("li", {}, h("bdi", { class: "upload-name" }, file.name), progress, state);

  /** @param {string | undefined} [replaces] the ETag of what it is to replace */
  async function start(replaces) {
    const { isDone, code, message } = await put(file, source.uploadUrl(path), { replaces, onProgress: show });
    progress.hidden = true;
    // It goes on while one looks at another page, and is told there.
    if (signal.aborted) toast(isDone ? `Uploaded: ${file.name}` : message, { tone: isDone ? "good" : "bad" });
    if (isDone) {
      state.textContent = `${bytes(file.size)}, done`;
      element.classList.add("good");
      done();
    } else if (ALREADY_THERE.includes(code)) askToReplace();
    else fail(message);
  }

  /** @param {number} sent */
  function show(sent) {
    progress.value = file.size === 0 ? 1 : sent / file.size;
    state.textContent = `${bytes(sent)} of ${bytes(file.size)}`;
  }

  /** @param {string} message */
  function fail(message) {
    state.textContent = message;
    element.classList.add("bad");
  }

  function askToReplace() {
    const replace = h("button", { type: "button", class: "small" }, "Replace it");
    replace.addEventListener("click", async () => {
      replace.remove();
      progress.hidden = false;
      try {
        await start(await tagOf(source, path, signal));
      } catch (error) {
        fail(error instanceof Error ? error.message : String(error));
      }
    });
    state.textContent = "There is a file of this name already.";
    element.append(replace);
  }

  return { element, start };
}

/**
 * What names the content that is there now. It has a name once it has been left alone for a moment.
 * @param {Source} source
 * @param {string} path
 * @param {AbortSignal} signal
 */
async function tagOf(source, path, signal) {
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const head = await source.head(path, signal);
    if (head?.etag?.startsWith('"')) return head.etag;
    await new Promise((resolve) => setTimeout(resolve, TRY_AGAIN_MS));
  }
  throw new Error("Somebody is writing to that file. Try again later.");
}

/**
 * XMLHttpRequest tells how much has gone out, which `fetch` does not.
 * @param {File} file
 * @param {string} url
 * @param {{ replaces: string | undefined, onProgress: (sent: number) => void }} options
 * @returns {Promise<{ isDone: boolean, code: string, message: string }>}
 */
function put(file, url, { replaces, onProgress }) {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    request.open("PUT", url);
    if (replaces !== undefined) request.setRequestHeader("if-match", replaces);
    request.upload.addEventListener("progress", ({ loaded }) => onProgress(loaded));
    request.addEventListener("loadend", () => resolve(outcomeOf(request)));
    request.send(file);
  });
}

/** @param {XMLHttpRequest} request */
function outcomeOf({ status, responseText }) {
  if (status >= 200 && status < 300) return { isDone: true, code: "", message: "" };
  if (status === 0) {
    return {
      isDone: false,
      code: "network",
      message: "The upload was cut short. Check your connection, then try again.",
    };
  }
  try {
    const { code, detail, title } = JSON.parse(responseText);
    return { isDone: false, code: String(code), message: String(detail ?? title) };
  } catch {
    return { isDone: false, code: "unknown", message: `Your peer server answered ${status}.` };
  }
}

/**
 * A folder's reader in a Worker of its own, as the index has it. What fails in there by a mistake of ours ends it: what is
 * asked then rejects with `closed`.
 */

import { CulvertError } from "../../../protocol/errors.ts";
import type { ContentTree } from "../../../protocol/files/tree_hash.ts";
import type { FolderNews, FolderReader, FolderSettings, SeenFile } from "./folder_reader.ts";
import type { FromReader, ToReader } from "./reader_messages.ts";

export interface ReaderWorkerOptions extends FolderSettings {
  readonly restShare: number;
}

interface Question {
  onSeen?(files: readonly SeenFile[]): void;
  onRead?(file: SeenFile, tree: ContentTree | undefined): void;
  readonly done: PromiseWithResolvers<void>;
}

export class ReaderWorker implements FolderReader {
  readonly #worker = new Worker(new URL("./main_reader.ts", import.meta.url), { type: "module", name: "index" });
  readonly #questions = new Map<number, Question>();
  #news: FolderNews | undefined;
  #nextId = 0;
  #failure: CulvertError | undefined;

  constructor({ folder, hidden, restShare }: ReaderWorkerOptions) {
    this.#worker.onmessage = ({ data }: MessageEvent<FromReader>) => this.#hear(data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#end(event.message);
    };
    this.#post({ type: "open", settings: { folder, hidden }, restShare });
  }

  look(paths: readonly string[], onSeen: (files: readonly SeenFile[]) => void): Promise<void> {
    return this.#ask({ onSeen }, (id) => ({ type: "look", id, paths }));
  }

  read(files: readonly SeenFile[], onRead: (file: SeenFile, tree: ContentTree | undefined) => void): Promise<void> {
    return this.#ask({ onRead }, (id) => ({ type: "read", id, files }));
  }

  watch(news: FolderNews): void {
    this.#news = news;
    this.#post({ type: "watch" });
  }

  [Symbol.dispose](): void {
    this.#end("it is not needed any more");
  }

  #ask(listener: Omit<Question, "done">, question: (id: number) => ToReader): Promise<void> {
    if (this.#failure) return Promise.reject(this.#failure);
    const id = this.#nextId++;
    const done = Promise.withResolvers<void>();
    this.#questions.set(id, { ...listener, done });
    this.#post(question(id));
    return done.promise;
  }

  #post(message: ToReader): void {
    this.#worker.postMessage(message);
  }

  #hear(message: FromReader): void {
    if (this.#failure) return;
    switch (message.type) {
      case "seen":
        this.#questions.get(message.id)?.onSeen?.(message.files);
        return this.#post({ type: "taken", id: message.id });
      case "tree":
        return this.#questions.get(message.id)?.onRead?.(message.file, message.tree);
      case "done":
        this.#questions.get(message.id)?.done.resolve();
        this.#questions.delete(message.id);
        return;
      case "changed":
        return this.#news?.changed(message.paths);
      case "overflowed":
        return this.#news?.overflowed();
      case "lost":
        return this.#news?.lost(message.reason);
    }
  }

  #end(reason: string): void {
    if (this.#failure) return;
    this.#failure = new CulvertError("closed", `Cannot read the shared folder: ${reason}`);
    this.#worker.terminate();
    for (const { done } of this.#questions.values()) done.reject(this.#failure);
    this.#questions.clear();
  }
}

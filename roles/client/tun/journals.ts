/**
 * The journals of clients that route this machine, or did when they were killed. There is one tunnel to a network
 * namespace, whatever its interfaces are called: so `up` cleans up after one of another name, and `down` ends it.
 */

import { CulvertError } from "../../../protocol/errors.ts";
import { holderOf, Journal, journalPathOf, otherJournals } from "../../machine/journal.ts";

/** The journal of these interfaces. Rejects with `exists` while a client that is alive holds it. */
export async function takeJournal(interfacePrefix: string): Promise<Journal> {
  return await takeDead(await journalPathOf(interfacePrefix));
}

/** Those of other names, left by clients that were killed. Rejects with `exists` when one of them is alive. */
export async function takeLeft(interfacePrefix: string): Promise<Journal[]> {
  using held = new DisposableStack();
  const journals: Journal[] = [];
  for (const path of await otherClients(await journalPathOf(interfacePrefix))) {
    journals.push(held.use(await takeDead(path)));
  }
  held.move();
  return journals;
}

/** Where the journals of other names are: none but clients have tables of routes of their own to undo. */
export async function otherClients(path: string): Promise<string[]> {
  const paths: string[] = [];
  for await (const other of otherJournals(path)) {
    if (other.undos.some(({ kind }) => kind === "routes")) paths.push(other.path);
  }
  return paths;
}

async function takeDead(path: string): Promise<Journal> {
  const journal = await Journal.take(path);
  if (journal) return journal;
  const holder = await holderOf(path);
  throw new CulvertError(
    "exists",
    `Cannot bring up the tunnel: it is up already${holder === undefined ? "" : `, by process ${holder}`}; ` +
      "`culvert client status` tells of it and `culvert client down` ends it",
  );
}

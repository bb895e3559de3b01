/**
 * Places for what is under way: so many at once in all, and so many of one client, that none takes those of the others.
 * Pure.
 */

export class Places {
  readonly #max: number;
  readonly #maxEach: number;
  readonly #taken = new Map<string, number>();
  #all = 0;

  constructor(max: number, maxEach: number) {
    this.#max = max;
    this.#maxEach = maxEach;
  }

  /** A place until it is disposed of; undefined when there is none. Behind one address there may be many clients. */
  take(client: string, isMany = false): Disposable | undefined {
    const own = this.#taken.get(client) ?? 0;
    if (this.#all >= this.#max || (!isMany && own >= this.#maxEach)) return undefined;
    this.#all++;
    this.#taken.set(client, own + 1);
    return { [Symbol.dispose]: () => this.#giveBack(client) };
  }

  #giveBack(client: string): void {
    this.#all--;
    const left = this.#taken.get(client)! - 1;
    if (left === 0) this.#taken.delete(client);
    else this.#taken.set(client, left);
  }
}

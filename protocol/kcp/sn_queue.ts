/**
 * A queue of segment numbers, as ring in an array that grows with it: those that wait to be sent again. One that is empty
 * holds next to nothing.
 */

const FIRST_SIZE = 16;

export class SnQueue {
  #sns = new Int32Array(FIRST_SIZE);
  #start = 0;
  length = 0;

  push(sn: number): void {
    if (this.length === this.#sns.length) this.#grow();
    this.#sns[(this.#start + this.length++) & (this.#sns.length - 1)] = sn;
  }

  get first(): number {
    return this.#sns[this.#start]!;
  }

  shift(): void {
    this.#start = (this.#start + 1) & (this.#sns.length - 1);
    if (--this.length === 0 && this.#sns.length > FIRST_SIZE) this.clear();
  }

  clear(): void {
    this.#sns = new Int32Array(FIRST_SIZE);
    this.#start = this.length = 0;
  }

  #grow(): void {
    const sns = new Int32Array(this.#sns.length * 2);
    for (let index = 0; index < this.length; index++) {
      sns[index] = this.#sns[(this.#start + index) & (this.#sns.length - 1)]!;
    }
    this.#sns = sns;
    this.#start = 0;
  }
}

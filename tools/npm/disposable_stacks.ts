/**
 * `DisposableStack` and `AsyncDisposableStack` for a host without them, as ECMAScript's "Explicit Resource Management" has
 * them: what was put on last is disposed first, all of it even when some of it throws, and the errors are told together.
 */

type Step = () => unknown;

/** What both kinds have: the steps, until they are taken away or done. */
class Steps {
  #steps: Step[] | undefined = [];

  get areGone(): boolean {
    return this.#steps === undefined;
  }

  add(step: Step): void {
    if (!this.#steps) throw new ReferenceError("Cannot add to a stack that has been disposed");
    this.#steps.push(step);
  }

  /** All of them, the last first; none are left. */
  take(): Step[] {
    const steps = this.#steps ?? [];
    this.#steps = undefined;
    return steps.reverse();
  }
}

/** Two errors as one, by the host's own class where there is one. */
function suppressed(error: unknown, earlier: unknown): Error {
  const text = "An error was suppressed during disposal";
  const { SuppressedError: Known } = globalThis as { SuppressedError?: typeof SuppressedError };
  if (Known) return new Known(error, earlier, text);
  return Object.assign(new Error(text), { name: "SuppressedError", error, suppressed: earlier });
}

/** Keeps the first failure, and joins those that follow to it. */
class Failures {
  #failure: { error: unknown } | undefined;

  add(error: unknown): void {
    this.#failure = { error: this.#failure ? suppressed(error, this.#failure.error) : error };
  }

  throwAny(): void {
    if (this.#failure) throw this.#failure.error;
  }
}

export class SyncStack {
  #steps = new Steps();

  get disposed(): boolean {
    return this.#steps.areGone;
  }

  use<T extends Disposable | null | undefined>(value: T): T {
    if (value === null || value === undefined) return value;
    const dispose = value[Symbol.dispose];
    if (typeof dispose !== "function") throw new TypeError("Cannot use what is not disposable");
    this.#steps.add(() => dispose.call(value));
    return value;
  }

  adopt<T>(value: T, dispose: (value: T) => void): T {
    this.#steps.add(() => dispose(value));
    return value;
  }

  defer(dispose: () => void): void {
    this.#steps.add(dispose);
  }

  move(): SyncStack {
    if (this.disposed) throw new ReferenceError("Cannot move a stack that has been disposed");
    const moved = new SyncStack();
    for (const step of this.#steps.take().reverse()) moved.#steps.add(step);
    return moved;
  }

  dispose(): void {
    const failures = new Failures();
    for (const step of this.#steps.take()) {
      try {
        step();
      } catch (error) {
        failures.add(error);
      }
    }
    failures.throwAny();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

export class AsyncStack {
  #steps = new Steps();

  get disposed(): boolean {
    return this.#steps.areGone;
  }

  use<T extends AsyncDisposable | Disposable | null | undefined>(value: T): T {
    if (value === null || value === undefined) return value;
    const { [Symbol.asyncDispose]: later, [Symbol.dispose]: now } = value as Partial<AsyncDisposable & Disposable>;
    const dispose = later ?? now;
    if (typeof dispose !== "function") throw new TypeError("Cannot use what is not disposable");
    this.#steps.add(() => dispose.call(value as AsyncDisposable & Disposable));
    return value;
  }

  adopt<T>(value: T, dispose: (value: T) => PromiseLike<void> | void): T {
    this.#steps.add(() => dispose(value));
    return value;
  }

  defer(dispose: () => PromiseLike<void> | void): void {
    this.#steps.add(dispose);
  }

  move(): AsyncStack {
    if (this.disposed) throw new ReferenceError("Cannot move a stack that has been disposed");
    const moved = new AsyncStack();
    for (const step of this.#steps.take().reverse()) moved.#steps.add(step);
    return moved;
  }

  async disposeAsync(): Promise<void> {
    const failures = new Failures();
    for (const step of this.#steps.take()) {
      try {
        await step();
      } catch (error) {
        failures.add(error);
      }
    }
    failures.throwAny();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.disposeAsync();
  }
}

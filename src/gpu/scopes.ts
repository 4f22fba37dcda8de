import { NormError } from './errors.ts';
import { shown } from './shown.ts';
import { Tensor } from './tensor.ts';
import { tensorsIn } from './tensors-in.ts';

/**
 * What the body of a {@link Gpu.scope} gets. An async one needs it once it has awaited something: others may run meanwhile and
 * make tensors on the same context, so it says which are its own.
 */
export interface TensorScope {
  /**
   * Runs `body` at once; the tensors that are made inside belong to the scope.
   *
   * @throws NormError `value` if `body` is no function, `order` if `body` returns a promise, or the scope has ended; what `body` throws.
   */
  run<T>(body: () => T): T;
  /**
   * Hands a tensor to the scope that was made elsewhere, such as what an async function returned: it is freed when the scope ends.
   *
   * @throws NormError `value` if it is no Tensor, `order` if the scope has ended.
   */
  add<T extends Tensor>(tensor: T): T;
}

type Made = Set<Tensor>;

const none: ReadonlySet<Tensor> = new Set();

/** Which tensors of a context are freed together, and when. */
export class Scopes {
  /** What was made in those whose body runs now, the innermost last. */
  readonly #running: Made[] = [];
  /** The same of those that have not ended. */
  readonly #open = new Set<Made>();

  /** A tensor was made: it is the innermost scope's. */
  add(tensor: Tensor): void {
    this.#running.at(-1)?.add(tensor);
  }

  /** Whether one of them, or what it is a view of, was made in the innermost scope that runs now, and is still that one's. */
  madeAny(tensors: readonly (Tensor | undefined)[]): boolean {
    const made = this.#running.at(-1);
    if (!made || made.size === 0) return false;
    // From the end, where a call has what it writes.
    for (let i = tensors.length - 1; i >= 0; i--) {
      const tensor = tensors[i];
      if (tensor && made.has(tensor.source)) return true;
    }
    return false;
  }

  /** Takes a tensor out of all scopes. */
  take(tensor: Tensor): void {
    for (const made of this.#open) made.delete(tensor);
  }

  /** As {@link Gpu.scope}. */
  scope<T>(body: (scope: TensorScope) => T): T {
    checkBody(body, 'scope');
    const { made, within, end } = this.#begin();
    const checkOpen = () => {
      if (this.#open.has(made)) return;
      throw new NormError(
        'order',
        'The scope has ended.',
        'Use it before the body returns or its promise settles.',
      );
    };
    const scope: TensorScope = {
      run: (inner) => {
        checkBody(inner, 'run');
        checkOpen();
        const result = within(inner);
        if (!isPromise(result)) return result;
        result.then(undefined, () => {}); // it may fail over what the scope frees
        throw new NormError('order', 'run() was given an async function.', 'Await between calls of run().');
      },
      add: (tensor) => {
        checkOpen();
        if (!(tensor instanceof Tensor)) {
          throw new NormError('value', `add() was given ${shown(tensor)}.`, 'Pass a Tensor.');
        }
        if (tensor.destroyed) return tensor;
        this.take(tensor);
        made.add(tensor);
        return tensor;
      },
    };
    let result: T;
    try {
      result = within(() => body(scope));
    } catch (error) {
      end(none);
      throw error;
    }
    if (!isPromise(result)) {
      end(tensorsIn(result));
      return result;
    }
    return Promise.resolve(result).then(
      (value) => {
        end(tensorsIn(value));
        return value;
      },
      (error) => {
        end(none);
        throw error;
      },
    ) as T;
  }

  /** Runs `body`, and frees the tensors that it made if it throws: a call that fails leaves none behind. */
  orNothing<T>(body: () => T): T {
    const { made, within, end } = this.#begin();
    try {
      const result = within(body);
      end(made);
      return result;
    } catch (error) {
      end(none);
      throw error;
    }
  }

  #begin() {
    const outer = this.#running.at(-1);
    const made: Made = new Set();
    this.#open.add(made);
    return {
      made,
      within: <T>(body: () => T): T => {
        this.#running.push(made);
        try {
          return body();
        } finally {
          this.#running.pop();
        }
      },
      /** Frees what was made but for what is kept, which is then the outer scope's, if that is still open. */
      end: (kept: ReadonlySet<Tensor>): void => {
        this.#open.delete(made);
        for (const tensor of made) {
          if (!kept.has(tensor)) tensor.destroy();
          else if (outer && this.#open.has(outer)) outer.add(tensor);
        }
      },
    };
  }
}

const isPromise = (value: unknown): value is PromiseLike<unknown> =>
  typeof (value as { then?: unknown } | null | undefined)?.then === 'function';

function checkBody(body: unknown, name: string): void {
  if (typeof body === 'function') return;
  throw new NormError('value', `${name}() was given ${shown(body)}.`, 'Pass a function.');
}

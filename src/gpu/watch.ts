import { NormError } from './errors.ts';

/**
 * What WebGPU says asynchronously: of earlier calls, and of the device.
 *
 * Errors of calls wait here until idle() throws them, once. The loss of the device rejects whatever is
 * being waited for, and stays.
 */
export class Watch {
  /** Resolves when the device is lost, with the reason. */
  readonly lost: Promise<string>;
  /** Set once the device is lost. */
  lostError: NormError | undefined;
  readonly #checks = new Set<Promise<void>>();
  readonly #untold = new Set<NormError>();
  readonly #waiting = new Set<(error: NormError) => void>();

  constructor(device: GPUDevice) {
    this.lost = device.lost.then((info) => {
      const reason = `${info.reason ?? 'unknown'}${info.message ? `: ${info.message}` : ''}`;
      this.lostError = deviceLost(`The GPU device was lost (${reason}).`);
      this.rejectWaiting(this.lostError);
      return reason;
    });
  }

  /** Keeps what a check of an earlier call finds. */
  add(check: Promise<NormError | undefined>): void {
    const watched = check.then(
      (error) => {
        this.#checks.delete(watched);
        if (error) this.#untold.add(error);
      },
      () => {
        this.#checks.delete(watched); // the device went away; `lost` says so
      },
    );
    this.#checks.add(watched);
  }

  /** Waits for the checks begun so far. */
  async heard(): Promise<void> {
    await Promise.all(this.#checks);
  }

  /** The error, which whoever gets it need not be told again. */
  tell(error: NormError): NormError {
    this.#untold.delete(error);
    return error;
  }

  /** Whether somebody got the error. */
  wasTold(error: NormError): boolean {
    return !this.#untold.has(error);
  }

  /** Waits for the checks begun so far and throws what they found, once: several as one, with all as its cause. */
  async settle(): Promise<void> {
    await this.heard();
    const errors = [...this.#untold];
    this.#untold.clear();
    const [first, ...others] = errors;
    if (!first) return;
    if (others.length === 0) throw first;
    const messages = others.map(({ message }) => `\nAlso: ${message}`).join('');
    throw new NormError(first.code, first.message + messages, '', new AggregateError(errors));
  }

  /**
   * The promise, or a typed error once the device is lost, whichever comes first: nothing hangs.
   *
   * @param failed - the error if the promise is rejected and the device is not known to be lost a second later.
   */
  orLost<T>(promise: Promise<T>, failed = stoppedAnswering): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#waiting.add(reject);
      const settle = (finish: () => void) => {
        this.#waiting.delete(reject);
        finish();
      };
      promise.then(
        (value) => settle(() => resolve(value)),
        (cause) => {
          // Where the device is gone, some platforms say so here before `lost` does.
          setTimeout(() => settle(() => reject(failed(cause))), 1000);
        },
      );
    });
  }

  /** Rejects everything that is being waited for. */
  rejectWaiting(error: NormError): void {
    for (const reject of this.#waiting) reject(error);
    this.#waiting.clear();
  }
}

const stoppedAnswering = (cause: unknown) => deviceLost('The GPU device stopped answering.', cause);

function deviceLost(message: string, cause?: unknown): NormError {
  return new NormError('device-lost', message, 'Call init() again and restore your tensors.', cause);
}

// Questions to a worker, one at a time; the answers as promises.
import { type Trouble, troubleOf } from './screen.ts';

type Reply<Answer> = { answer: Answer } | { trouble: Trouble };

/** The page's side. */
export class Asked<Question, Answer> {
  readonly #worker: Worker;
  #reject: ((error: unknown) => void) | undefined;

  constructor(worker: Worker) {
    this.#worker = worker;
  }

  /** Rejects with what went wrong in the worker. */
  ask(question: Question, transfer: Transferable[] = []): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#reject = reject;
      const worker = this.#worker;
      worker.onmessage = ({ data }: MessageEvent<Reply<Answer>>) => {
        if ('answer' in data) resolve(data.answer);
        else reject(data.trouble);
      };
      worker.onerror = ({ message }) => reject(new Error(`The worker failed: ${message}`));
      worker.postMessage(question, transfer);
    });
  }

  /** Ends the worker; a question under way is rejected. */
  end(): void {
    this.#worker.terminate();
    this.#reject?.(new Error('Stopped.'));
  }
}

/** The worker's side: what `handle` returns is the answer. */
export function answerWith<Question, Answer>(handle: (question: Question) => Promise<Answer>): void {
  addEventListener('message', async ({ data }: MessageEvent<Question>) => {
    try {
      postMessage({ answer: await handle(data) } satisfies Reply<Answer>);
    } catch (error) {
      postMessage({ trouble: troubleOf(error) } satisfies Reply<Answer>);
    }
  });
}

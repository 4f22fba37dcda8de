// Questions to a worker, one at a time; the answers as promises, with news of how far they are.
import { type Trouble, troubleOf } from './screen.ts';

type Reply<Answer, News> = { answer: Answer } | { trouble: Trouble } | { news: News };

/** Asks the worker to end what it does. */
const stop = 'stop';

/** The page's side. */
export class Asked<Question, Answer, News = never> {
  readonly #worker: Worker;
  #reject: ((error: unknown) => void) | undefined;

  constructor(worker: Worker) {
    this.#worker = worker;
  }

  /**
   * Rejects with what went wrong in the worker.
   *
   * @param hear - told what the worker tells before it answers.
   */
  ask(question: Question, transfer: Transferable[] = [], hear?: (news: News) => void): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#reject = reject;
      const worker = this.#worker;
      worker.onmessage = ({ data }: MessageEvent<Reply<Answer, News>>) => {
        if ('news' in data) hear?.(data.news);
        else if ('answer' in data) resolve(data.answer);
        else reject(data.trouble);
      };
      worker.onerror = ({ message }) => reject(new Error(`The worker failed: ${message}`));
      worker.postMessage(question, transfer);
    });
  }

  /** Aborts the question under way, whose handler says how it ends. */
  stop(): void {
    this.#worker.postMessage(stop);
  }

  /** Ends the worker; a question under way is rejected. */
  end(): void {
    this.#worker.terminate();
    this.#reject?.(new Error('Stopped.'));
  }
}

/** What the worker's side has while it answers. */
export interface Attention<News> {
  /** Aborted by the page's `stop`. */
  signal: AbortSignal;
  tell(news: News): void;
}

/** The worker's side: what `handle` returns is the answer. */
export function answerWith<Question, Answer, News = never>(
  handle: (question: Question, attention: Attention<News>) => Promise<Answer>,
): void {
  let controller = new AbortController();
  const reply = (one: Reply<Answer, News>) => postMessage(one);
  addEventListener('message', async ({ data }: MessageEvent<Question | typeof stop>) => {
    if (data === stop) {
      controller.abort();
      return;
    }
    controller = new AbortController();
    const { signal } = controller;
    try {
      reply({ answer: await handle(data as Question, { signal, tell: (news) => reply({ news }) }) });
    } catch (error) {
      reply({ trouble: troubleOf(error) });
    }
  });
}

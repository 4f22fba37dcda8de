// Measure it: the bench of the repository, on the visitor's GPU.
import { Asked } from '../../shared/asked.ts';
import { copyText } from '../../shared/copy.ts';
import { choose, chosen, get, input, write } from '../../shared/dom.ts';
import type { Screen, Shell } from '../../shared/screen.ts';
import { troubleOf } from '../../shared/screen.ts';
import markup from './measure.html?raw';
import './measure.css';
import type { Answer, Entries, News, Question } from './messages.ts';
import { parseSettings, rowsOf, type Settings } from './settings.ts';
import { View } from './view.ts';

export const title = 'Measure it';
export const about =
  'The bench of the repository on your GPU, in a worker: time, bandwidth, and the share of what a mere copy reaches. ' +
  'Every row is first held to float64; other libraries can run beside it on the same buffers.';

export function mount(host: HTMLElement, settings: URLSearchParams, shell: Shell): Screen {
  host.innerHTML = markup;
  return new Measure(settings, shell);
}

class Measure implements Screen {
  readonly #shell: Shell;
  readonly #form = get<HTMLFormElement>('measure-controls');
  readonly #view = new View();
  #settings: Settings;
  #asked: Asked<Question, Answer, News> | undefined;
  #withPeers = false;
  #stopped = false;
  #working = false;
  #left = false;

  constructor(settings: URLSearchParams, shell: Shell) {
    this.#shell = shell;
    this.#settings = parseSettings(settings);
    const form = this.#form;
    form.addEventListener('input', () => this.#set(this.#chosen()));
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#work(() => this.#run());
    });
    get('run').addEventListener('click', () => void this.#work(() => this.#run()));
    get('tune').addEventListener('click', () => void this.#work(() => this.#tune()));
    get('forget').addEventListener('click', () => {
      for (const [key] of stored()) localStorage.removeItem(key);
      this.#offerForget();
    });
    get('stop').addEventListener('click', () => {
      this.#stopped = true;
      this.#asked?.stop();
      get<HTMLButtonElement>('stop').disabled = true;
    });
    const copy = (id: string, text: () => string): void => {
      const button = get<HTMLButtonElement>(id);
      button.addEventListener('click', () => void copyText(button, text()));
    };
    copy('copy-markdown', () => this.#view.markdown());
    copy('copy-json', () => this.#view.json());
    this.#set(this.#settings);
    void this.#work(() => this.#start());
  }

  read(settings: URLSearchParams): void {
    this.#set(parseSettings(settings));
  }

  repaint(): void {
    this.#view.repaint();
  }

  leave(): void {
    this.#left = true;
    this.#asked?.end();
  }

  /** One thing at a time; what goes wrong ends the worker. */
  async #work(act: () => Promise<unknown>): Promise<void> {
    if (this.#working) return;
    this.#working = true;
    this.#stopped = false;
    this.#shell.busy(true);
    this.#shell.clear();
    for (const id of ['run', 'tune']) get<HTMLButtonElement>(id).disabled = true;
    this.#offerForget();
    try {
      await act();
      this.#shell.busy(false);
    } catch (error) {
      this.#asked?.end();
      this.#asked = undefined;
      if (this.#left) return;
      this.#shell.fail(told(error), () => void this.#work(() => this.#start()));
    } finally {
      this.#working = false;
      if (!this.#left) {
        for (const id of ['run', 'tune']) get<HTMLButtonElement>(id).disabled = false;
        this.#offerForget();
        get<HTMLButtonElement>('stop').disabled = true;
      }
    }
  }

  /** A device of its own; with peers, the one that they bring. */
  async #start(): Promise<Asked<Question, Answer, News>> {
    const { peers } = this.#settings;
    if (this.#asked && this.#withPeers === peers) return this.#asked;
    this.#asked?.end();
    const worker = new Worker(new URL('./measure.worker.ts', import.meta.url), { type: 'module' });
    const asked = new Asked<Question, Answer, News>(worker);
    this.#asked = asked;
    this.#withPeers = peers;
    const answer = await asked.ask({ type: 'start', peers });
    if (answer.type !== 'facts') throw new Error('The worker did not start.');
    this.#view.facts = answer.facts;
    this.#view.clear();
    const { adapter, software, method } = answer.facts;
    write('measure-adapter', `${adapter}${software ? ' (software)' : ''}; times by ${method}`);
    this.#showRows();
    return asked;
  }

  async #run(): Promise<void> {
    const asked = await this.#start();
    const { rounds } = this.#settings;
    const facts = this.#view.facts;
    const rows = rowsOf(facts?.rows ?? [], this.#settings);
    this.#view.clear();
    get<HTMLButtonElement>('stop').disabled = false;
    const progress = get<HTMLProgressElement>('progress');
    progress.max = Math.max(1, rows.length);
    progress.value = 0;
    const skipped: string[] = [];
    for (const [i, row] of rows.entries()) {
      if (this.#stopped) break;
      write('measured-rows', `${i + 1} of ${rows.length}: ${row}`);
      const answer = await asked.ask({ type: 'measure', row, rounds, peers: facts?.peers ?? [] });
      if (answer.type !== 'result') continue;
      if ('notRun' in answer.result) skipped.push(`${row}: ${answer.result.notRun}`);
      else this.#view.add(answer.result);
      progress.value = i + 1;
    }
    const text = [`${this.#view.length} of ${rows.length} rows measured`, ...skipped].join('; ');
    write('measured-rows', text);
    this.#shell.say(text);
  }

  /** autotune over the chosen rows; what it finds is the page's to keep. */
  async #tune(): Promise<void> {
    const asked = await this.#start();
    const { rounds } = this.#settings;
    const rows = rowsOf(this.#view.facts?.rows ?? [], this.#settings);
    this.#view.clearTuned();
    this.#offerForget();
    get<HTMLButtonElement>('stop').disabled = false;
    const progress = get<HTMLProgressElement>('progress');
    progress.max = Math.max(1, rows.length);
    progress.value = 0;
    let tuned = 0;
    for (const [i, row] of rows.entries()) {
      if (this.#stopped) break;
      const place = `${i + 1} of ${rows.length}: ${row}`;
      write('measured-rows', place);
      const question = { type: 'tune', row, rounds, entries: stored() } as const;
      const answer = await asked.ask(question, [], ({ done, total, name }) => {
        progress.value = i + done / total;
        write('measured-rows', `${place}, step ${done} of ${total}: ${name}`);
      });
      if (answer.type !== 'tuned') continue;
      const problem = keep(answer.entries);
      if (answer.passes === null) break;
      this.#view.addTuned(row, answer.passes, problem);
      tuned += 1;
    }
    const text = `${tuned} of ${rows.length} rows tuned`;
    write('measured-rows', text);
    this.#shell.say(text);
  }

  /** Not while something runs: a tune under way would put back what it was given. */
  #offerForget(): void {
    const some = stored().length > 0;
    get<HTMLButtonElement>('forget').disabled = this.#working || !some;
    if (some) get('tuned-panel').hidden = false;
  }

  #chosen(): Settings {
    const form = this.#form;
    return parseSettings(
      new URLSearchParams({
        ops: chosen(form, 'ops').join('.'),
        passes: chosen(form, 'passes').join('.'),
        filter: input('filter').value,
        rounds: get<HTMLSelectElement>('rounds').value,
        peers: String(input('peers').checked),
      }),
    );
  }

  #set(settings: Settings): void {
    this.#settings = settings;
    const form = this.#form;
    choose(form, 'ops', settings.ops);
    choose(form, 'passes', settings.passes);
    // Not while it is typed in: the caret would jump.
    if (input('filter').value !== settings.filter) input('filter').value = settings.filter;
    get<HTMLSelectElement>('rounds').value = String(settings.rounds);
    input('peers').checked = settings.peers;
    this.#shell.remember(settings);
    if (!this.#working) this.#showRows();
  }

  #showRows(): void {
    const { facts } = this.#view;
    if (!facts) return;
    const count = rowsOf(facts.rows, this.#settings).length;
    write('measured-rows', `${count} of ${facts.rows.length} rows`);
  }
}

const prefix = 'webgpu-norm ';

/** What autotune left in the page's storage. */
function stored(): Entries {
  try {
    return Object.entries(localStorage).filter(([key]) => key.startsWith(prefix));
  } catch {
    return []; // the browser keeps it from the page
  }
}

/** Says what keeps the page from keeping them, if anything. */
function keep(entries: Entries): string | undefined {
  try {
    for (const [key, value] of entries) localStorage.setItem(key, value);
    return undefined;
  } catch (error) {
    return `not kept: ${(error as Error).message}`;
  }
}

/** A device that is lost while nothing runs is found to be so by the next question. */
const told = (error: unknown) => {
  const trouble = troubleOf(error);
  // Where a buffer is waited for, WebGPU's own error is first.
  return trouble.code === 'device-lost' || /device was lost/i.test(trouble.message)
    ? { message: `The GPU device was lost. The settings are kept. (${trouble.message})` }
    : trouble;
};

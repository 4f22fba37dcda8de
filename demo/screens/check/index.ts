// Check it: every op, storage type and strategy beside float64, on the visitor's GPU.
import { Asked } from '../../shared/asked.ts';
import { copyText, markdownTable } from '../../shared/copy.ts';
import { choose, chosen, get, write } from '../../shared/dom.ts';
import { count, error as errorText } from '../../shared/format.ts';
import type { Screen, Shell } from '../../shared/screen.ts';
import { troubleOf } from '../../shared/screen.ts';
import markup from './check.html?raw';
import './check.css';
import type { Answer, Question, Verdict } from './messages.ts';
import { parseSettings, type Settings } from './settings.ts';

export const title = 'Check it';
export const about =
  'Forward and backward of every norm, in every storage type and strategy that your GPU has, beside the textbook formulas ' +
  'in float64. Found something? Copy the report into an issue.';

export function mount(host: HTMLElement, settings: URLSearchParams, shell: Shell): Screen {
  host.innerHTML = markup;
  return new CheckScreen(settings, shell);
}

const cellsOf = ({ op, dtype, strategy, runs, output, error, bound, failure }: Verdict): string[] => [
  op,
  dtype === 'mixed' ? 'f16, parameters f32' : dtype,
  strategy,
  String(runs),
  output ? `${output} ${errorText(error)}` : '',
  output ? errorText(bound) : '',
  failure ?? 'passed',
];

class CheckScreen implements Screen {
  readonly #shell: Shell;
  readonly #form = get<HTMLFormElement>('check-controls');
  #settings: Settings;
  #asked: Asked<Question, Answer> | undefined;
  #adapter = '';
  #verdicts: Verdict[] = [];
  #working = false;
  #stopped = false;
  #gone = false;

  constructor(settings: URLSearchParams, shell: Shell) {
    this.#shell = shell;
    this.#settings = parseSettings(settings);
    const form = this.#form;
    form.addEventListener('submit', (event) => event.preventDefault());
    form.addEventListener('input', () => {
      const fields = { ops: chosen(form, 'ops').join('.'), dtypes: chosen(form, 'dtypes').join('.') };
      this.#set(parseSettings(new URLSearchParams(fields)));
    });
    get('check-run').addEventListener('click', () => void this.#work(() => this.#run()));
    get('check-stop').addEventListener('click', () => {
      this.#stopped = true;
    });
    const button = get<HTMLButtonElement>('copy-report');
    button.addEventListener('click', () => void copyText(button, this.#report()));
    this.#set(this.#settings);
    void this.#work(() => this.#start());
  }

  read(settings: URLSearchParams): void {
    this.#set(parseSettings(settings));
  }

  repaint(): void {}

  leave(): void {
    this.#gone = true;
    this.#asked?.end();
  }

  #set(settings: Settings): void {
    this.#settings = settings;
    choose(this.#form, 'ops', settings.ops);
    choose(this.#form, 'dtypes', settings.dtypes);
    this.#shell.remember(settings);
  }

  /** One thing at a time; what goes wrong ends the worker. */
  async #work(act: () => Promise<unknown>): Promise<void> {
    if (this.#working) return;
    this.#working = true;
    this.#stopped = false;
    this.#shell.busy(true);
    this.#shell.clear();
    get<HTMLButtonElement>('check-run').disabled = true;
    try {
      await act();
      this.#shell.busy(false);
    } catch (error) {
      this.#asked?.end();
      this.#asked = undefined;
      if (this.#gone) return;
      const { code, message } = troubleOf(error);
      const lost =
        code === 'device-lost' ? `The GPU device was lost. The settings are kept. (${message})` : message;
      this.#shell.fail({ code, message: lost }, () => void this.#work(() => this.#start()));
    } finally {
      this.#working = false;
      if (!this.#gone) {
        get<HTMLButtonElement>('check-run').disabled = false;
        get<HTMLButtonElement>('check-stop').disabled = true;
      }
    }
  }

  async #start(): Promise<Asked<Question, Answer>> {
    if (this.#asked) return this.#asked;
    const worker = new Worker(new URL('./check.worker.ts', import.meta.url), { type: 'module' });
    const asked = new Asked<Question, Answer>(worker);
    this.#asked = asked;
    const answer = await asked.ask({ type: 'start' });
    if (answer.type !== 'facts') throw new Error('The worker did not start.');
    this.#adapter = `${answer.adapter}; features: ${answer.features.join(', ') || 'none'}`;
    write('check-adapter', answer.adapter);
    return asked;
  }

  async #run(): Promise<void> {
    const asked = await this.#start();
    const list = await asked.ask({ type: 'list', settings: this.#settings });
    if (list.type !== 'list') throw new Error('The worker did not list its checks.');
    this.#verdicts = [];
    get<HTMLButtonElement>('check-stop').disabled = false;
    const progress = get<HTMLProgressElement>('check-progress');
    progress.max = Math.max(1, list.count);
    this.#show();
    for (let index = 0; index < list.count && !this.#stopped; index++) {
      progress.value = index;
      write('check-state', `${index + 1} of ${list.count}`);
      const answer = await asked.ask({ type: 'check', index });
      if (answer.type === 'verdict') this.#verdicts.push(answer.verdict);
      this.#show();
    }
    progress.value = this.#verdicts.length;
    write('check-state', this.#summary());
    this.#shell.say(this.#summary());
  }

  #summary(): string {
    const failed = this.#verdicts.filter(({ failure }) => failure).length;
    const runs = this.#verdicts.reduce((sum, verdict) => sum + verdict.runs, 0);
    const passed = this.#verdicts.length - failed;
    const parts = [`${passed} passed`, `${failed} failed`, `${count(runs)} runs`];
    return parts.join(', ');
  }

  #show(): void {
    const body = get<HTMLTableElement>('verdicts').tBodies[0];
    // Rows that are there stay as they are.
    while (body && body.rows.length > this.#verdicts.length) body.deleteRow(-1);
    for (const verdict of this.#verdicts.slice(body?.rows.length ?? 0)) {
      const row = body?.insertRow();
      for (const text of cellsOf(verdict)) {
        const cell = row?.insertCell();
        if (cell) cell.textContent = text;
      }
      if (verdict.failure) row?.cells[6]?.classList.add('bad');
    }
    get<HTMLButtonElement>('copy-report').disabled = this.#verdicts.length === 0;
  }

  #report(): string {
    const header = ['norm', 'storage', 'strategy', 'runs', 'largest error', 'allowed', 'verdict'];
    return [
      `webgpu-norm check: ${this.#summary()}`,
      '',
      `- adapter: ${this.#adapter}`,
      `- browser: ${navigator.userAgent}`,
      `- at: ${new Date().toISOString()}`,
      '',
      markdownTable(header, this.#verdicts.map(cellsOf)),
      '',
    ].join('\n');
  }
}

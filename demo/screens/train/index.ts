// Train it: the same network with different norms, side by side.
import { choose, chosen, get, input, write } from '../../shared/dom.ts';
import type { Screen, Shell } from '../../shared/screen.ts';
import type { Answer, Command } from './messages.ts';
import { batchSizes, defaults, parseSettings, rates, type Settings } from './settings.ts';
import markup from './train.html?raw';
import './train.css';
import { View } from './view.ts';

export const title = 'Train it';
export const about =
  'One network per norm learns digits that are drawn as the page loads, from the same seed, the same batches in the same ' +
  'order, in a worker on your GPU. Make the batch smaller to see BatchNorm break, and GroupNorm not.';

export function mount(host: HTMLElement, settings: URLSearchParams, shell: Shell): Screen {
  host.innerHTML = markup;
  return new Train(settings, shell);
}

class Train implements Screen {
  readonly #shell: Shell;
  readonly #form = get<HTMLFormElement>('train-controls');
  readonly #view = new View();
  #settings: Settings;
  #worker: Worker;
  #sent = 0;
  /** Which start of the race is drawn. */
  #race = 0;
  #playing = false;

  constructor(settings: URLSearchParams, shell: Shell) {
    this.#shell = shell;
    this.#settings = parseSettings(settings);
    const form = this.#form;
    form.addEventListener('input', () => this.#set(this.#chosen()));
    form.addEventListener('submit', (event) => event.preventDefault());
    get('beside').addEventListener('input', () => this.#set(this.#chosen()));
    get('play').addEventListener('click', () => this.#play(!this.#playing));
    get('step').addEventListener('click', () => {
      this.#play(false);
      this.#send({ type: 'step' });
    });
    get('reset').addEventListener('click', () => {
      this.#play(false);
      this.#send({ type: 'reset' });
    });
    this.#worker = this.#start();
    this.#set(this.#settings);
  }

  read(settings: URLSearchParams): void {
    this.#set(parseSettings(settings));
  }

  repaint(): void {
    this.#view.repaint();
  }

  leave(): void {
    this.#worker.terminate();
  }

  #start(): Worker {
    this.#shell.clear();
    this.#race = 0;
    this.#show(false);
    const worker = new Worker(new URL('./train.worker.ts', import.meta.url), { type: 'module' });
    const failed = (error: unknown): void => {
      if (worker !== this.#worker) return;
      worker.terminate();
      this.#show(false);
      this.#shell.busy(true);
      this.#shell.fail(error, () => {
        this.#worker = this.#start();
        this.#set(this.#settings);
      });
    };
    worker.onmessage = ({ data }: MessageEvent<Answer>) => {
      if (worker !== this.#worker) return;
      if (data.type === 'report') this.#reported(data);
      // The loss itself is told of too.
      else if (data.trouble.code !== 'device-lost') failed(data.trouble);
    };
    worker.onerror = ({ message }) => failed(new Error(`The worker failed: ${message}`));
    return worker;
  }

  #send(command: { type: Exclude<Command['type'], 'set'> } | { type: 'set'; settings: Settings }): void {
    this.#sent += 1;
    this.#shell.busy(true);
    this.#worker.postMessage({ ...command, id: this.#sent } satisfies Command);
  }

  #play(playing: boolean): void {
    if (playing === this.#playing) return;
    this.#show(playing);
    this.#send({ type: playing ? 'play' : 'pause' });
  }

  #show(playing: boolean): void {
    this.#playing = playing;
    get('play').setAttribute('aria-pressed', String(playing));
    write('play', playing ? 'Pause' : 'Play');
  }

  #reported(report: Answer & { type: 'report' }): void {
    if (report.race !== this.#race) {
      this.#race = report.race;
      this.#view.start(report.standings.map(({ kind }) => kind));
    }
    this.#view.show(report, this.#settings);
    if (report.playing || report.id !== this.#sent) return;
    this.#shell.busy(false);
    const text = get('standings').innerText.replace(/\s+/g, ' ');
    this.#shell.say(`${get('steps').textContent}. ${text}`);
  }

  #chosen(): Settings {
    const form = this.#form;
    const [activation] = chosen(form, 'activation');
    const [statistics] = chosen(form, 'statistics');
    const fields = new URLSearchParams({
      norms: chosen(form, 'norms').join('.'),
      batch: String(batchSizes[input('batch').valueAsNumber]),
      rate: String(rates[input('rate').valueAsNumber]),
      layers: input('layers').value,
      activation: activation ?? defaults.activation,
      statistics: statistics ?? defaults.statistics,
      beside: get<HTMLSelectElement>('beside').value,
    });
    return parseSettings(fields);
  }

  #set(settings: Settings): void {
    this.#settings = settings;
    const form = this.#form;
    const { norms, batch, rate, layers, activation, statistics, beside } = settings;
    choose(form, 'norms', norms);
    choose(form, 'activation', [activation]);
    choose(form, 'statistics', [statistics]);
    get<HTMLSelectElement>('beside').value = beside;
    const sliders = [
      ['batch', batchSizes.indexOf(batch), batch],
      ['rate', rates.indexOf(rate), rate],
      ['layers', layers, layers],
    ] as const;
    for (const [id, position, value] of sliders) {
      input(id).value = String(position);
      input(id).setAttribute('aria-valuetext', String(value));
      write(`${id}-value`, String(value));
    }
    this.#shell.remember(settings);
    this.#send({ type: 'set', settings });
  }
}

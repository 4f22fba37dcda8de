// Sync it: replicas in workers that normalize together, or each for itself.
import { get, input, write } from '../../shared/dom.ts';
import { type Screen, type Shell, troubleOf } from '../../shared/screen.ts';
import { Replicas } from './replicas.ts';
import { batchSizes, parseSettings, type Settings } from './settings.ts';
import markup from './sync.html?raw';
import './sync.css';
import { View } from './view.ts';

export const title = 'Sync it';
export const about =
  'Several replicas train on small parts of one batch: BatchNorm sees only its own part, SyncBatchNorm the statistics of all, ' +
  'and should do what one big batch does. The replicas average their gradients, and talk by message ports.';

/** Statistics and gradients are waited for; more steps than this between two reports would only look slow. */
const mostSteps = 8;
const reportMilliseconds = 150;

export function mount(host: HTMLElement, settings: URLSearchParams, shell: Shell): Screen {
  host.innerHTML = markup;
  return new Sync(settings, shell);
}

class Sync implements Screen {
  readonly #shell: Shell;
  readonly #view = new View((rank) => this.#replicas?.kill(rank));
  #settings: Settings;
  #replicas: Replicas | undefined;
  #playing = false;
  #steps = 0;
  #working = false;

  constructor(settings: URLSearchParams, shell: Shell) {
    this.#shell = shell;
    this.#settings = parseSettings(settings);
    const form = get<HTMLFormElement>('sync-controls');
    form.addEventListener('submit', (event) => event.preventDefault());
    form.addEventListener('input', () => {
      const fields = {
        replicas: input('replicas').value,
        batch: String(batchSizes[input('replica-batch').valueAsNumber]),
      };
      this.#set(parseSettings(new URLSearchParams(fields)));
    });
    get('sync-play').addEventListener('click', () => {
      this.#show(!this.#playing);
      void this.#work();
    });
    get('sync-step').addEventListener('click', () => {
      this.#show(false);
      this.#steps += 1;
      void this.#work();
    });
    get('sync-reset').addEventListener('click', () => this.#start());
    this.#set(this.#settings);
  }

  read(settings: URLSearchParams): void {
    this.#set(parseSettings(settings));
  }

  repaint(): void {
    this.#view.repaint();
  }

  leave(): void {
    const replicas = this.#replicas;
    this.#replicas = undefined;
    replicas?.end();
  }

  #set(settings: Settings): void {
    this.#settings = settings;
    const { replicas, batch } = settings;
    input('replicas').value = String(replicas);
    input('replica-batch').value = String(batchSizes.indexOf(batch));
    input('replica-batch').setAttribute('aria-valuetext', String(batch));
    write('replicas-value', String(replicas));
    write('replica-batch-value', String(batch));
    write('batches', `One big batch: ${replicas} × ${batch} = ${replicas * batch} digits.`);
    this.#shell.remember(settings);
    this.#start();
  }

  #show(playing: boolean): void {
    this.#playing = playing;
    get('sync-play').setAttribute('aria-pressed', String(playing));
    write('sync-play', playing ? 'Pause' : 'Play');
  }

  /** New workers, new weights. */
  #start(): void {
    this.leave();
    this.#show(false);
    this.#steps = 0;
    this.#shell.clear();
    this.#view.clear();
    const replicas: Replicas = new Replicas(this.#settings, () => {
      if (this.#replicas === replicas) this.#view.showMembers(replicas.members);
    });
    this.#replicas = replicas;
    this.#view.showMembers(replicas.members);
    void this.#attempt(replicas, () => replicas.start()).then(() => this.#work());
  }

  /** Advances while it is asked to, step by step. */
  async #work(): Promise<void> {
    const replicas = this.#replicas;
    if (this.#working || !replicas) return;
    let some = 1;
    while (this.#replicas === replicas && (this.#playing || this.#steps > 0)) {
      const steps = this.#playing ? some : this.#steps;
      this.#steps = 0;
      const began = performance.now();
      await this.#attempt(replicas, () => replicas.advance(steps));
      some = performance.now() - began < reportMilliseconds ? Math.min(mostSteps, 2 * some) : 1;
    }
  }

  async #attempt(replicas: Replicas, act: () => Promise<void>): Promise<void> {
    this.#working = true;
    this.#shell.busy(true);
    try {
      await act();
    } catch (error) {
      // Ended by a new start, which has its own say.
      if (this.#replicas === replicas) this.#fail(error);
    }
    if (this.#replicas !== replicas) return;
    this.#working = false;
    write('sync-adapter', replicas.adapter);
    this.#view.show(replicas.steps, replicas.standings());
    if (this.#playing) return;
    this.#shell.busy(false);
    this.#shell.say(
      `${get('sync-steps').textContent}. ${get('sync-standings').innerText.replace(/\s+/g, ' ')}`,
    );
  }

  #fail(error: unknown): void {
    this.#show(false);
    const { code, message } = troubleOf(error);
    const lost = `The GPU device was lost. The settings are kept. (${message})`;
    const text = code === 'device-lost' ? lost : message;
    this.#shell.fail({ code, message: text }, () => this.#start());
  }
}

// See it: one photograph through every norm, forward and backward, beside the float64 reference.
import { NormError } from '../../../src/index.ts';
import { adapterName } from '../../shared/adapter.ts';
import { frame, get, wait, write } from '../../shared/dom.ts';
import type { Screen, Shell } from '../../shared/screen.ts';
import { changeBy, showControls } from './controls.ts';
import { mountCube } from './cube.ts';
import { Engine } from './engine.ts';
import { pack, readPixels, type Source } from './image.ts';
import type { Answer, Question } from './judge.worker.ts';
import { Results, type Shown } from './results.ts';
import markup from './see.html?raw';
import './see.css';
import { mountPictures, type Pictures } from './source.ts';
import { defaults, parseState, type State } from './state.ts';
import { responseSettings, type Size, type Task, taskOf } from './task.ts';

export const title = 'See it';
export const about =
  'A photograph and its dim copy go through a norm, forward and backward, on your GPU as you move the sliders. ' +
  'Beside it are the elements that share statistics, and how far each result is from float64.';

export function mount(host: HTMLElement, settings: URLSearchParams, shell: Shell): Screen {
  host.innerHTML = markup;
  return new See(settings, shell);
}

function sizeOf({ gpu }: Engine): Size {
  // Half of the picture's: 320×240 where a CPU plays the GPU.
  return gpu.facts.software ? { height: 120, width: 160 } : { height: 240, width: 320 };
}

/** Sliders do not change the time; norm, layout and size do. */
const timingKey = ({ task, state }: Shown): string =>
  [task.norm, task.normalizedShape, task.groups, task.layout, task.shape, state.window].join(' ');

class See implements Screen {
  readonly #shell: Shell;
  readonly #form = get<HTMLFormElement>('controls');
  readonly #cube = mountCube(get('cube'), get('cube-text'));
  readonly #results = new Results();
  readonly #pictures: Pictures;
  readonly #worker = new Worker(new URL('./judge.worker.ts', import.meta.url), { type: 'module' });
  #state: State;
  #left = false;
  #source: Source | undefined;
  #pixels: ImageData | undefined;
  /** The x of the last computation, and what it was made from. */
  #packed: { pixels: ImageData; layout: Task['layout']; offset: number; x: Shown['x'] } | undefined;
  #shown: Shown | undefined;
  #engine: Engine | undefined;
  #wanted = false;
  #working = false;
  #judging: Promise<void> | undefined;
  #timed = '';

  constructor(settings: URLSearchParams, shell: Shell) {
    this.#shell = shell;
    this.#state = parseState(settings);
    this.#pictures = mountPictures(
      (source) => this.#use(source),
      (text) => shell.fail(text),
    );
    const form = this.#form;
    form.addEventListener('input', ({ target }) => this.#set({ ...this.#state, ...changeBy(target) }));
    form.addEventListener('reset', (event) => {
      event.preventDefault();
      this.#set({ ...defaults });
    });
    form.addEventListener('submit', (event) => event.preventDefault());
    this.#showControls();
    void this.#start();
  }

  read(settings: URLSearchParams): void {
    this.#set(parseState(settings));
  }

  repaint(): void {
    this.#results.repaint(this.#shown);
  }

  leave(): void {
    this.#left = true;
    this.#pictures.stop();
    this.#worker.terminate();
    this.#engine?.destroy();
    this.#engine = undefined;
  }

  #showControls(): void {
    showControls(this.#form, this.#state);
    this.#cube(this.#state);
  }

  #set(state: State): void {
    this.#state = state;
    this.#showControls();
    this.#request();
  }

  #use(source: Source): void {
    this.#source = source;
    if (this.#engine) this.#shell.clear();
    this.#pixels = undefined;
    this.#request();
  }

  async #start(): Promise<void> {
    this.#shell.clear();
    try {
      const engine = await Engine.start();
      if (this.#left) {
        engine.destroy();
        return;
      }
      this.#engine = engine;
      this.#timed = '';
      write('adapter', adapterName(engine.gpu));
      void engine.gpu.lost.then((reason) => {
        if (this.#engine !== engine) return;
        this.#engine = undefined;
        this.#shell.busy(true);
        this.#failed(`The GPU device was lost (${reason}). The settings are kept.`);
      });
      if (this.#source) this.#request();
      else await this.#pictures.usePhotograph();
    } catch (error) {
      this.#fail(error);
    }
  }

  #failed(error: unknown): void {
    this.#shell.fail(error, () => void this.#start());
  }

  #fail(error: unknown): void {
    // `lost` tells about that; leaving destroys the device under what is still under way.
    if (this.#left || (error instanceof NormError && error.code === 'device-lost')) return;
    this.#engine?.destroy();
    this.#engine = undefined;
    this.#failed(error);
  }

  /** Something changed. However often it is called, one computation is in flight, and one more follows. */
  #request(): void {
    this.#wanted = true;
    this.#shell.busy(true);
    if (!this.#working) void this.#work();
  }

  async #work(): Promise<void> {
    this.#working = true;
    try {
      while (this.#wanted && this.#engine && this.#source) {
        this.#wanted = false;
        await frame();
        if (this.#engine) await this.#round(this.#engine, this.#source);
      }
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#working = false;
    }
    // Asked for while an error was on its way here.
    if (this.#wanted && this.#engine) this.#request();
  }

  async #round(engine: Engine, source: Source): Promise<void> {
    const shown = await this.#compute(engine, source);
    // The camera's frames follow each other; a judgement every now and then is enough.
    if (this.#pictures.live) {
      this.#judging ??= this.#judge(shown)
        .then(() => this.#shell.remember(shown.state))
        .finally(() => {
          this.#judging = undefined;
        });
      if (timingKey(shown) !== this.#timed) {
        this.#timed = '';
        for (const id of ['forward-time', 'backward-time']) write(id, 'after the camera');
      }
      this.#wanted = true;
      return;
    }
    await this.#judging;
    if (!this.#wanted) await wait(30);
    if (this.#wanted) return;
    await this.#judge(shown);
    if (this.#engine !== engine) return;
    await wait(150);
    if (!this.#wanted && timingKey(shown) !== this.#timed) {
      this.#results.timed(shown.task, await engine.measure(shown.x, shown.task, shown.state));
      this.#timed = timingKey(shown);
    }
    if (!this.#wanted) this.#settle();
  }

  async #compute(engine: Engine, source: Source): Promise<Shown> {
    const state = { ...this.#state };
    const size = sizeOf(engine);
    if (!this.#pixels || this.#pictures.live) this.#pixels = readPixels(source, size);
    const pixels = this.#pixels;
    const task = taskOf(state, size);
    const from = { pixels, layout: task.layout, offset: state.offset };
    const last = this.#packed;
    const same = last?.pixels === pixels && last.layout === from.layout && last.offset === from.offset;
    const x = same ? last.x : pack(pixels, task, state.offset);
    this.#packed = { ...from, x };
    const shown = { state, task, x, outcome: await engine.run(x, task, state) };
    this.#shown = shown;
    this.#results.draw(shown);
    return shown;
  }

  /** One question at a time. */
  async #judge(shown: Shown): Promise<void> {
    const { state, task, x, outcome } = shown;
    const { weight, bias, eps } = state;
    const { y, dy, dx } = outcome;
    const { geometry, kind } = task;
    const worker = this.#worker;
    const answer = await new Promise<Answer>((resolve, reject) => {
      worker.onmessage = ({ data }: MessageEvent<Answer>) => resolve(data);
      worker.onerror = ({ message }) => reject(new Error(`The float64 reference failed: ${message}`));
      const response = responseSettings(state);
      worker.postMessage({
        geometry,
        kind,
        response,
        eps,
        weight,
        bias,
        x,
        y,
        dy,
        dx,
      } satisfies Question);
    });
    this.#results.judged(shown, answer);
  }

  /** All that is on the page belongs to the same settings. */
  #settle(): void {
    this.#shell.remember(this.#state);
    this.#shell.busy(false);
    const name = this.#form.querySelector(`input[value="${this.#state.norm}"] + span`)?.textContent;
    const text = (id: string): string => get(id).textContent ?? '';
    this.#shell.say(
      `${name}: relative error of y ${text('relative-error')}, of dx ${text('gradient-error')}; ` +
        `forward ${text('forward-time')}, backward ${text('backward-time')}.`,
    );
  }
}

import { NormError } from '../src/index.ts';
import { setCount, setSize } from '../src/reference/index.ts';
import photograph from './assets/raccoon.jpg';
import { mountCube } from './cube.ts';
import { count, duration, error as errorText, short } from './format.ts';
import { bandwidth, Engine, type Outcome, type Timing } from './gpu.ts';
import { mountHistogram } from './histogram.ts';
import {
  type Diverging,
  drawCopy,
  drawSigned,
  drawValues,
  pack,
  readPixels,
  type Source,
  white,
} from './image.ts';
import type { Answer, Question } from './judge.worker.ts';
import { explain } from './loss.ts';
import { torchError } from './pytorch.ts';
import { defaults, formatState, groupCounts, parseState, type State } from './state.ts';
import { elementCount, layoutOf, type Size, type Task, taskOf } from './task.ts';

function get<T extends Element = HTMLElement>(id: string): T {
  const element = document.querySelector<T>(`#${id}`);
  if (!element) throw new Error(`The page has no #${id}.`);
  return element;
}

const canvas = (id: string): HTMLCanvasElement => get<HTMLCanvasElement>(id);
const write = (id: string, text: string): void => {
  get(id).textContent = text;
};

const app = get('app');
const form = get<HTMLFormElement>('controls');
const darkScheme = matchMedia('(prefers-color-scheme: dark)');
const showCube = mountCube(get('cube'), get('cube-text'));

let state = parseState(location.hash);

// ---------------------------------------------------------------------------------------------------- controls

/** 0, then four steps per decade from 1 to 1e5. */
const offsets = [0, ...Array.from({ length: 21 }, (_, i) => Number((10 ** (i / 4)).toPrecision(2)))];

const normTexts: Record<State['norm'], string> = {
  layer: '(x − mean) / √(variance + eps) · γ + β. Undoes brightness and contrast.',
  rms: 'x / √(mean(x²) + eps) · γ. Undoes scale only: brightness stays, and there is no β.',
  group: 'As LayerNorm, for each group of channels of each sample. Three groups are the three colours.',
  instance: 'As LayerNorm, for each channel of each sample: as many groups as channels.',
};

const positionText = ' Each position is normalized on its own, over its 12 channels: what transformers do.';

const nearest = (values: readonly number[], value: number): number =>
  values.reduce(
    (best, candidate, i) =>
      Math.abs(candidate - value) < Math.abs((values[best] as number) - value) ? i : best,
    0,
  );

const radios = (name: string): NodeListOf<HTMLInputElement> => form.querySelectorAll(`input[name="${name}"]`);
const range = (id: string): HTMLInputElement => get<HTMLInputElement>(id);

/** Makes the controls show the state. */
function showControls(): void {
  const { norm, over, layout, groups, weight, bias, eps, offset, loss } = state;
  for (const [name, value] of Object.entries({ norm, over, layout: layoutOf(state) })) {
    for (const radio of radios(name)) radio.checked = radio.value === value;
  }
  // The channels at one position are contiguous in N, H, W, C only.
  for (const radio of radios('layout')) radio.disabled = layoutOf(state) !== state.layout && !radio.checked;
  for (const part of form.querySelectorAll<HTMLElement>('[data-norms]')) {
    part.hidden = !part.dataset.norms?.split(' ').includes(norm);
  }
  const sliders: [string, number, string][] = [
    ['groups', groupCounts.indexOf(groups), String(groups)],
    ['weight', weight, short(weight)],
    ['bias', bias, short(bias)],
    ['eps', Math.log10(eps), short(eps)],
    ['offset', nearest(offsets, offset), short(offset)],
  ];
  for (const [id, position, text] of sliders) {
    range(id).value = String(position);
    range(id).setAttribute('aria-valuetext', text);
    write(`${id}-value`, text);
  }
  get<HTMLSelectElement>('loss').value = loss;
  write('norm-text', normTexts[norm] + (layoutOf(state) === layout ? '' : positionText));
  showCube(state);
}

/** The part of the state that the control behind the event sets. */
function changeBy(control: EventTarget | null): Partial<State> {
  if (control instanceof HTMLSelectElement) return { loss: control.value as State['loss'] };
  if (!(control instanceof HTMLInputElement)) return {};
  if (control.type === 'radio') return { [control.name]: control.value };
  const value = control.valueAsNumber;
  switch (control.id) {
    case 'groups':
      return { groups: groupCounts[value] ?? defaults.groups };
    case 'weight':
      return { weight: value };
    case 'bias':
      return { bias: value };
    case 'eps':
      return { eps: Number((10 ** value).toPrecision(2)) };
    case 'offset':
      return { offset: offsets[value] ?? 0 };
    default:
      return {};
  }
}

function setState(next: State): void {
  state = next;
  showControls();
  request();
}

form.addEventListener('input', ({ target }) => setState({ ...state, ...changeBy(target) }));
form.addEventListener('reset', (event) => {
  event.preventDefault();
  setState({ ...defaults });
});
form.addEventListener('submit', (event) => event.preventDefault());
addEventListener('hashchange', () => {
  if (location.hash !== formatState(state)) setState(parseState(location.hash));
});

// ----------------------------------------------------------------------------------------------------- picture

let source: Source | undefined;
let pixels: ImageData | undefined;
let stream: MediaStream | undefined;

function setSource(next: Source): void {
  source = next;
  if (engine) hideProblem();
  pixels = undefined;
  request();
}

async function usePhotograph(): Promise<void> {
  stopCamera();
  const image = new Image();
  image.src = photograph;
  await image.decode();
  get('credit').hidden = false;
  setSource(image);
}

async function useFile(file: File | undefined): Promise<void> {
  if (!file) return;
  try {
    const bitmap = await createImageBitmap(file);
    stopCamera();
    get('credit').hidden = true;
    setSource(bitmap);
  } catch {
    showProblem(`“${file.name}” is not a picture that this browser can read.`, false);
  }
}

async function useCamera(): Promise<void> {
  if (stream) return void usePhotograph();
  try {
    // Absent where the page is not secure.
    stream = await navigator.mediaDevices.getUserMedia({
      video: { facingMode: 'environment' },
      audio: false,
    });
  } catch (error) {
    const denied = error instanceof DOMException && error.name === 'NotAllowedError';
    showProblem(denied ? 'The camera was not allowed.' : 'There is no camera that this page can use.', false);
    return;
  }
  const video = document.createElement('video');
  video.muted = true;
  video.playsInline = true;
  video.srcObject = stream;
  await video.play();
  get('camera').setAttribute('aria-pressed', 'true');
  get('credit').hidden = true;
  setSource(video);
}

function stopCamera(): void {
  for (const track of stream?.getTracks() ?? []) track.stop();
  stream = undefined;
  get('camera').setAttribute('aria-pressed', 'false');
}

const fileInput = get<HTMLInputElement>('file');
get('choose').addEventListener('click', () => fileInput.click());
fileInput.addEventListener('change', () => {
  void useFile(fileInput.files?.[0]);
  fileInput.value = '';
});
get('camera').addEventListener('click', () => void useCamera());
get('photograph').addEventListener('click', () => void usePhotograph());

const dropTarget = get('drop');
addEventListener('dragover', (event) => {
  event.preventDefault();
  dropTarget.hidden = app.hidden;
});
addEventListener('dragleave', (event) => {
  if (!event.relatedTarget) dropTarget.hidden = true;
});
addEventListener('drop', (event) => {
  event.preventDefault();
  dropTarget.hidden = true;
  if (!app.hidden) void useFile(event.dataTransfer?.files[0]);
});

// ----------------------------------------------------------------------------------------------------- results

const yRange = [-2.5, 2.5] as const;
const histogramHost = get('histogram');
let histogram: ReturnType<typeof mountHistogram> | undefined;

/** What is on the page now; drawn again when the colour scheme changes. */
interface Shown {
  state: State;
  task: Task;
  x: Float32Array<ArrayBuffer>;
  outcome: Outcome;
}
let shown: Shown | undefined;
/** The x that the canvases of x show. */
let drawn: Float32Array | undefined;

function rgb(name: string): number[] {
  const hex = getComputedStyle(app).getPropertyValue(name).trim().slice(1);
  const digits = hex.length === 3 ? [...hex].map((digit) => digit + digit) : (hex.match(/../g) ?? []);
  return digits.map((pair) => Number.parseInt(pair, 16));
}

function draw({ state, task, x, outcome }: Shown): void {
  const { y, rstd, dy, dx } = outcome;
  const xRange = [state.offset, state.offset + white] as const;
  for (const sample of [0, 1]) {
    if (x !== drawn) drawValues(canvas(`x${sample}`), x, task, sample, xRange);
    drawValues(canvas(`y${sample}`), y, task, sample, yRange);
  }
  drawn = x;
  drawCopy(canvas('ours'), canvas('y0'));

  const hues: Diverging = { negative: rgb('--negative'), zero: rgb('--zero'), positive: rgb('--positive') };
  // Rounding noise around 0 is not blown up: white is 0 on the scale of the terms that dx is the sum of.
  const terms = Math.abs(state.weight) * largest(rstd) * largest(dy);
  const scale = Math.max(largest(dx), 0.01 * terms);
  for (const sample of [0, 1]) drawSigned(canvas(`dx${sample}`), dx, task, sample, scale, hues);
  write('dx-low', short(-scale));
  write('dx-high', short(scale));
  write('loss-text', explain(state.loss, state.norm));

  histogram ??= mountHistogram(histogramHost, get('histogram-text'));
  histogram.show(x, outcome.y, state.offset > 20 ? state.offset : 0);

  write('shape', `[${task.shape.join(', ')}] f32, ${short((4 * elementCount(task)) / 1e6)} MB`);
  write('sets', `${count(setCount(task.geometry))} sets of ${count(setSize(task.geometry))} elements`);
  const torch = torchError(state);
  write(
    'torch',
    `For comparison, PyTorch ${torch.torch} (f32, ${torch.device}), same norm, offset ${short(torch.offset)}: ` +
      `y ${errorText(torch.y)}, dx ${errorText(torch.dx)}, medians of ${torch.runs} runs on normally distributed x of ` +
      `${torch.shapes.map((shape) => shape.join('×')).join(', ')}.`,
  );
}

const largest = (values: Float32Array): number => {
  let max = 0;
  for (let i = 0; i < values.length; i++) max = Math.max(max, Math.abs(values[i] as number));
  return max;
};

darkScheme.addEventListener('change', () => {
  if (shown) draw(shown);
  histogram?.repaint();
});

const worker = new Worker(new URL('./judge.worker.ts', import.meta.url), { type: 'module' });

/** One question at a time, the answer as a promise. */
function judge({ state, task, x, outcome }: Shown): Promise<Answer> {
  const { weight, bias, eps } = state;
  const { y, dy, dx } = outcome;
  const { geometry, kind } = task;
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }: MessageEvent<Answer>) => resolve(data);
    worker.onerror = ({ message }) => reject(new Error(`The float64 reference failed: ${message}`));
    worker.postMessage({ geometry, kind, eps, weight, bias, x, y, dy, dx } satisfies Question);
  });
}

function showAnswer({ state, task, outcome }: Shown, answer: Answer): void {
  write('relative-error', errorText(answer.relative));
  write('absolute-error', errorText(answer.absolute));
  write('gradient-error', errorText(answer.gradient));
  const { naive, variance } = answer;
  get('naive-pictures').hidden = !naive;
  get('naive-table').hidden = !naive;
  if (!naive) {
    write(
      'naive-text',
      'RMSNorm divides by the mean of x², where nothing cancels: an offset does no harm to its exactness. It does ' +
        'harm to the picture, for RMSNorm does not take the offset away. Pick another norm to see a variance fail.',
    );
    return;
  }
  drawValues(canvas('naive'), naive.y, task, 0, yRange);
  const ours = (outcome.rstd[0] as number) ** -2 - state.eps;
  write('variance-true', short(variance ?? Number.NaN));
  write('variance-ours', short(ours));
  write('variance-naive', short(naive.variance));
  write('error-ours', errorText(answer.relative));
  write('error-naive', errorText(naive.relative));
  const failed = !(naive.relative < 0.01);
  get('variance-naive').classList.toggle('failed', failed);
  get('error-naive').classList.toggle('failed', failed);
  write(
    'naive-text',
    'E[x²] and E[x]² both grow with the square of the offset, f32 has seven digits, and the variance is what the ' +
      'difference leaves. ' +
      (failed
        ? `Here it is lost${Number.isFinite(naive.relative) ? '' : ' (magenta: a negative variance has no root)'}. `
        : 'Move the offset to 1e4 and beyond to lose it. ') +
      'webgpu-norm sums (x − p) and (x − p)² about a pivot p in every chunk, and merges the chunks.',
  );
}

function showTiming(task: Task, timing: Timing): void {
  const rate = bandwidth(task, timing);
  write('forward-time', `${duration(timing.forward)}, ${short(rate.forward)} GB/s`);
  write('backward-time', `${duration(timing.backward)}, ${short(rate.backward)} GB/s`);
}

// --------------------------------------------------------------------------------------------------- computing

let engine: Engine | undefined;
let wanted = false;
let busy = false;
let timed = '';

const frame = (): Promise<unknown> => new Promise((next) => requestAnimationFrame(next));
const wait = (milliseconds: number): Promise<unknown> =>
  new Promise((next) => setTimeout(next, milliseconds));

/** Something changed. However often it is called, one computation is in flight, and one more follows. */
function request(): void {
  wanted = true;
  app.setAttribute('aria-busy', 'true');
  if (!busy) void work();
}

async function work(): Promise<void> {
  busy = true;
  try {
    while (wanted && engine && source) {
      wanted = false;
      await frame();
      const current = engine;
      await compute(current);
      const judged = shown;
      if (!judged) continue;
      // The camera's frames follow each other; a judgement every now and then is enough.
      if (stream) {
        judging ??= judge(judged)
          .then((answer) => {
            showAnswer(judged, answer);
            remember();
          })
          .finally(() => {
            judging = undefined;
          });
        if (timingKey(judged) !== timed) {
          timed = '';
          for (const id of ['forward-time', 'backward-time']) write(id, 'after the camera');
        }
        wanted = true;
        continue;
      }
      await judging;
      if (!wanted) await wait(30);
      if (wanted) continue;
      const answer = await judge(judged);
      if (engine !== current) continue;
      showAnswer(judged, answer);
      await wait(150);
      if (!wanted) await time(current, judged);
      if (!wanted) settle();
    }
  } catch (error) {
    fail(error);
  } finally {
    busy = false;
  }
  // Asked for while an error was on its way here.
  if (wanted && engine) request();
}

let judging: Promise<void> | undefined;

function sizeOf({ gpu }: Engine): Size {
  // Half of the picture's: 320×240 where a CPU plays the GPU.
  return gpu.facts.software ? { height: 120, width: 160 } : { height: 240, width: 320 };
}

/** The x of the last computation, and what it was made from. */
let packed:
  | { pixels: ImageData; layout: Task['layout']; offset: number; x: Float32Array<ArrayBuffer> }
  | undefined;

async function compute(current: Engine): Promise<void> {
  const used = { ...state };
  const size = sizeOf(current);
  if (!pixels || stream) pixels = readPixels(source as Source, size);
  const task = taskOf(used, size);
  const from = { pixels, layout: task.layout, offset: used.offset };
  const same = packed?.pixels === pixels && packed.layout === from.layout && packed.offset === from.offset;
  const x = packed && same ? packed.x : pack(pixels, task, used.offset);
  packed = { ...from, x };
  const outcome = await current.run(x, task, used);
  shown = { state: used, task, x, outcome };
  draw(shown);
}

/** Sliders do not change the time; norm, layout and size do. */
const timingKey = ({ task }: Shown): string =>
  [task.norm, task.normalizedShape, task.groups, task.layout, task.shape].join(' ');

async function time(current: Engine, judged: Shown): Promise<void> {
  const key = timingKey(judged);
  if (key === timed) return;
  const { state, task, x } = judged;
  const timing = await current.measure(x, task, state);
  showTiming(task, timing);
  timed = key;
}

function remember(): void {
  if (location.hash !== formatState(state)) history.replaceState(null, '', formatState(state));
}

/** All that is on the page belongs to the same settings. */
function settle(): void {
  remember();
  app.setAttribute('aria-busy', 'false');
  const name = form.querySelector(`input[value="${state.norm}"] + span`)?.textContent;
  write(
    'status',
    `${name}: relative error of y ${get('relative-error').textContent}, of dx ${get('gradient-error').textContent}; ` +
      `forward ${get('forward-time').textContent}, backward ${get('backward-time').textContent}.`,
  );
}

// ---------------------------------------------------------------------------------------------- start, failures

function showProblem(text: string, restart: boolean): void {
  write('problem-text', text);
  get('restart').hidden = !restart;
  get('problem').hidden = false;
}

function hideProblem(): void {
  get('problem').hidden = true;
}

function showMissing(reason: string): void {
  write('missing-reason', reason);
  get('missing').hidden = false;
  app.hidden = true;
}

function fail(error: unknown): void {
  // `lost` tells about that.
  if (error instanceof NormError && error.code === 'device-lost') return;
  engine?.destroy();
  engine = undefined;
  showProblem(error instanceof Error ? error.message : String(error), true);
}

async function start(): Promise<void> {
  hideProblem();
  try {
    const current = await Engine.start();
    engine = current;
    timed = '';
    write('adapter', current.adapter);
    void current.gpu.lost.then((reason) => {
      if (engine !== current) return;
      engine = undefined;
      app.setAttribute('aria-busy', 'true');
      showProblem(`The GPU device was lost (${reason}). The settings are kept.`, true);
    });
  } catch (error) {
    if (error instanceof NormError && error.code === 'no-webgpu') {
      showMissing(
        navigator.gpu
          ? 'WebGPU is there, but it found no graphics adapter.'
          : isSecureContext
            ? 'The page computes with WebGPU, and there is no navigator.gpu here.'
            : 'Browsers give WebGPU to secure pages only: open this one over https, or on localhost.',
      );
    } else fail(error);
    return;
  }
  app.hidden = false;
  showControls();
  if (source) request();
  else await usePhotograph();
}

get('restart').addEventListener('click', () => void start());
void start();

// The settings' form: shows a state, and says what a touched control makes of it.
import { choose, get, input, write } from '../../shared/dom.ts';
import { short } from '../../shared/format.ts';
import { defaults, groupCounts, type State } from './state.ts';
import { layoutOf } from './task.ts';

/** 0, then four steps per decade from 1 to 1e5. */
const offsets = [0, ...Array.from({ length: 21 }, (_, i) => Number((10 ** (i / 4)).toPrecision(2)))];

const normTexts: Record<State['norm'], string> = {
  layer: '(x − mean) / √(variance + eps) · γ + β. Undoes brightness and contrast.',
  rms: 'x / √(mean(x²) + eps) · γ. Undoes scale only: brightness stays, and there is no β.',
  group: 'As LayerNorm, for each group of channels of each sample. Three groups are the three colours.',
  instance: 'As LayerNorm, for each channel of each sample: as many groups as channels.',
  batch: 'As InstanceNorm, but over both samples together: how bright one is depends on the other.',
  response: 'x / (1 + α · mean(x² over a window of channels))^¾. Bright elements dim their neighbours.',
};

const positionText = ' Each position is normalized on its own, over its 12 channels: what transformers do.';

const nearest = (values: readonly number[], value: number): number =>
  values.reduce(
    (best, candidate, i) =>
      Math.abs(candidate - value) < Math.abs((values[best] as number) - value) ? i : best,
    0,
  );

/** Makes the controls show the state. */
export function showControls(form: HTMLFormElement, state: State): void {
  const { norm, over, layout, groups, weight, bias, eps, offset, loss, window, alpha } = state;
  for (const [name, value] of Object.entries({ norm, over, layout: layoutOf(state) })) {
    choose(form, name, [value]);
  }
  // The channels at one position are contiguous in N, H, W, C only.
  for (const radio of form.querySelectorAll<HTMLInputElement>('input[name="layout"]')) {
    radio.disabled = layoutOf(state) !== layout && !radio.checked;
  }
  for (const part of form.querySelectorAll<HTMLElement>('[data-norms]')) {
    part.hidden = !part.dataset.norms?.split(' ').includes(norm);
  }
  const sliders: [string, number, string][] = [
    ['groups', groupCounts.indexOf(groups), String(groups)],
    ['window', window, String(window)],
    ['alpha', Math.log10(alpha), short(alpha)],
    ['weight', weight, short(weight)],
    ['bias', bias, short(bias)],
    ['eps', Math.log10(eps), short(eps)],
    ['offset', nearest(offsets, offset), short(offset)],
  ];
  for (const [id, position, text] of sliders) {
    input(id).value = String(position);
    input(id).setAttribute('aria-valuetext', text);
    write(`${id}-value`, text);
  }
  get<HTMLSelectElement>('loss').value = loss;
  write('norm-text', normTexts[norm] + (layoutOf(state) === layout ? '' : positionText));
}

/** The part of the state that the control behind the event sets. */
export function changeBy(control: EventTarget | null): Partial<State> {
  if (control instanceof HTMLSelectElement) return { loss: control.value as State['loss'] };
  if (!(control instanceof HTMLInputElement)) return {};
  if (control.type === 'radio') return { [control.name]: control.value };
  const value = control.valueAsNumber;
  switch (control.id) {
    case 'groups':
      return { groups: groupCounts[value] ?? defaults.groups };
    case 'weight':
    case 'bias':
    case 'window':
      return { [control.id]: value };
    case 'eps':
    case 'alpha':
      return { [control.id]: Number((10 ** value).toPrecision(2)) };
    case 'offset':
      return { offset: offsets[value] ?? 0 };
    default:
      return {};
  }
}

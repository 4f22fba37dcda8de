// The losses that backward can start from: each is its gradient dy.
import { fillPatch } from './image.ts';
import type { State } from './state.ts';
import type { Task } from './task.ts';

export function gradientOf(loss: State['loss'], y: Float32Array, task: Task): Float32Array<ArrayBuffer> {
  const dy = new Float32Array(y.length);
  switch (loss) {
    case 'patch':
      fillPatch(dy, task, 1);
      break;
    case 'mean':
      dy.fill(1 / y.length);
      break;
    case 'squares':
      dy.set(y);
      break;
    case 'cubes':
      for (let i = 0; i < y.length; i++) dy[i] = (y[i] as number) ** 2;
      break;
  }
  return dy;
}

/** No statistic is held fixed: every element only competes with its neighbours among the channels. */
const responseTexts: Record<State['loss'], string> = {
  patch: 'dy is 1 in the disc, and dx is 0 outside of it: windows reach over channels, not over positions.',
  mean: 'Raising an element raises its y, and lowers its neighbours’: dx is largest where windows are dark.',
  squares: 'dy is y: bright elements gain most, less what they take from their neighbours.',
  cubes: 'dy is y²: only bright elements count.',
};

/** What there is to see in dx. */
export function explain(loss: State['loss'], norm: State['norm']): string {
  if (norm === 'response') return responseTexts[loss];
  const centred = norm !== 'rms';
  switch (loss) {
    case 'patch':
      return (
        'dy is 1 in the disc and 0 elsewhere, yet dx reaches every element that shares statistics with the disc' +
        `${centred ? ': raising the disc raises their mean' : ''}. ` +
        (norm === 'batch'
          ? 'The copy shares them too: its dx is not 0 either.'
          : 'The copy is another sample: its dx is 0.')
      );
    case 'mean':
      return centred
        ? 'Adding the same to all of x changes no y, so the mean of y cannot be moved: dx is 0, up to rounding.'
        : 'RMSNorm does not subtract the mean, so the mean of y can be moved: raising dark elements raises it, ' +
            'raising bright ones lowers it.';
    case 'squares':
      return (
        `y is γ·x̂${centred ? ' + β' : ''}, and the norm holds ${centred ? 'Σ x̂ and Σ x̂²' : 'Σ x̂²'} fixed: dx is 0, ` +
        'but for what eps leaves open. Raise eps to see it wake.'
      );
    case 'cubes':
      return centred
        ? 'dy is y². With γ = 1 and β = 0, dx goes as x̂² − 1 − x̂·mean(x̂³): away from 0 far from the mean, ' +
            'the other way near it.'
        : 'dy is y². With γ = 1, dx goes as x̂² − x̂·mean(x̂³).';
  }
}

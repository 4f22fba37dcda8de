// What follows the affine map of a norm in the same pass: a residual and an activation.

import { NormError } from '../gpu/errors.ts';
import { isKeyOf } from '../gpu/keys.ts';
import type { OptionNames } from '../gpu/options.ts';
import { shown } from '../gpu/shown.ts';
import type { Tensor } from '../gpu/tensor.ts';
import { type Activation, activations } from '../kernels/activation.ts';

/**
 * What a norm does with z = x̂·weight + bias: y = activation(z + residual), or y = z·activation(gate), with no pass over memory of its own.
 */
export interface EpilogueOptions {
  /** Like x; added before the activation, as the shortcut of a ResNet's block. Absent or null: 0. */
  residual?: Tensor | null | undefined;
  /** Default 'none'. */
  activation?: Activation | undefined;
  /** Factor of negative values, for 'leakyRelu'. Default 0.01. */
  negativeSlope?: number | undefined;
}

/** Of norms that take a gate, too. */
export interface GateOptions {
  /**
   * Like x. y = z·activation(gate): Mamba-2's gated RMSNorm with the activation 'silu' (Dao and Gu 2024, arXiv 2405.21060, whose
   * `norm_before_gate` is true). The activation is then that of the gate, and there is no residual. Absent or null: none.
   */
  gate?: Tensor | null | undefined;
}

export const gateNames = { gate: 'tensor?' } as const satisfies OptionNames<GateOptions>;

export const epilogueNames = {
  residual: 'tensor?',
  activation: 'string',
  negativeSlope: 'number',
} as const satisfies OptionNames<EpilogueOptions>;

/** What backward has to be told again of what forward was given. */
export interface EpilogueBackwardOptions extends EpilogueOptions {
  /** β, as in forward: with an activation, z is computed again. Absent or null where there was none. */
  bias?: Tensor | null | undefined;
}

export const epilogueBackwardNames = {
  ...epilogueNames,
  bias: 'tensor?',
} as const satisfies OptionNames<EpilogueBackwardOptions>;

/** An epilogue with its defaults. */
export interface Epilogue {
  residual: Tensor | undefined;
  gate: Tensor | undefined;
  activation: Activation;
  negativeSlope: number;
}

/** @throws NormError `value` for an activation or a slope that there is none of, or a residual beside a gate. */
export function epilogueOf({
  residual,
  gate,
  activation = 'none',
  negativeSlope = 0.01,
}: EpilogueOptions & GateOptions): Epilogue {
  checkActivation(activation, negativeSlope);
  checkGate(residual, gate);
  return {
    residual: residual ?? undefined,
    gate: gate ?? undefined,
    activation,
    negativeSlope: activation === 'leakyRelu' ? negativeSlope : 0,
  };
}

/** Throws `value` for a residual beside a gate. */
export function checkGate(residual: unknown, gate: unknown): void {
  if (!residual || !gate) return;
  throw new NormError('value', 'Both residual and gate were given.', 'Leave one of them out.');
}

/** @throws NormError `value`. */
export function checkActivation(activation: Activation, negativeSlope: number): void {
  if (!isKeyOf(activations, activation)) {
    throw new NormError(
      'value',
      `There is no activation '${shown(activation)}'.`,
      `Use one of ${Object.keys(activations).join(', ')}.`,
    );
  }
  if (!Number.isFinite(negativeSlope)) {
    throw new NormError(
      'value',
      `negativeSlope is ${shown(negativeSlope)}.`,
      'Use a finite number such as 0.01.',
    );
  }
}

/** Throws `value` if a norm that has no epilogue is given one. */
export function refuseEpilogue(name: string, options: object): void {
  const { residual, gate, activation = 'none' } = (options ?? {}) as EpilogueOptions & GateOptions;
  const given = residual ? 'residual' : gate ? 'gate' : activation !== 'none' ? 'activation' : undefined;
  if (given) {
    throw new NormError(
      'value',
      `${name} has no '${given}' here.`,
      'Leave it out, and apply it to the result.',
    );
  }
}

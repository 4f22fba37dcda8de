import type { Gpu } from '../../src/index.ts';

/** A device feature that a case cannot do without. Where it is missing the case is not applicable. */
export type Requirement = 'f16' | 'subgroups';

/** One GPU test: a plain function, run unchanged in every engine. It passes by not throwing. */
export interface Case {
  name: string;
  requires?: Requirement[];
  /** Milliseconds before the engine is given up. @defaultValue 300000 */
  timeout?: number;
  run(t: Context): Promise<void> | void;
}

export interface Context {
  /** The library's context on the one device that the whole run shares. */
  gpu: Gpu;
  device: GPUDevice;
  /**
   * The engine's `navigator.gpu`, for cases that need an adapter or a device of their own. Every device that comes of
   * it is watched: its uncaptured errors fail the case like those of the shared one.
   */
  navigatorGpu: GPU;
  /** Parsed JSON of a data file such as `golden/x.json` or `conformance/x.json`; null when there is none. */
  readJson(path: string): Promise<unknown>;
  /** The bytes of a data file such as `golden/x.safetensors`, which must be there. */
  readBytes(path: string): Promise<Uint8Array<ArrayBuffer>>;
  /** A line for the report printed after the run. */
  note(key: string, value: string): void;
  /** Says that uncaptured errors whose message matches are provoked on purpose: they do not fail the case. */
  expectValidationErrors(which?: RegExp): void;
  /** Ends the case as not applicable, for what only running it can tell. */
  notApplicable(reason: string): never;
}

/** What the suite tells the runner about the adapter under test. */
export interface AdapterFacts {
  vendor: string;
  architecture: string;
  device: string;
  description: string;
  isFallback: boolean;
  f16: boolean;
  subgroups: boolean;
  /** `[min, max]`, or null where the engine does not say. */
  subgroupSizes: [number, number] | null;
  features: string[];
}

export interface Outcome {
  name: string;
  status: 'passed' | 'failed' | 'not-applicable';
  /** Why the case is not applicable. */
  reason?: string;
  error?: { message: string; stack: string };
  ms: number;
  notes: [key: string, value: string][];
}

/** What an engine lends the suite. */
export interface Runtime {
  gpu: GPU | undefined;
  /** Address of the server that hands out the data files. */
  dataUrl: string;
  /** The engine is Firefox, which looks for finished GPU work ten times a second and reports one uncaptured error. */
  firefox?: boolean;
}

export const defaultTimeout = 300_000;

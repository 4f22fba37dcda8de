// A file under shaders/ as a build has parsed it (scripts/lib/wgsl-modules.mjs).

/** A piece of WGSL behind a line of the names that it refers to, or pieces of which a flag chooses. */
export type Part = string | Branch;

/** `if (FLAG) { taken } else { otherwise }`, of which linking keeps one. */
export type Branch = readonly [flag: string, taken: readonly Part[], otherwise: readonly Part[]];

/** What a module declares. */
export type Declaration = { readonly name: string } & (
  | {
      /** A number, flag or type that the host chooses; `value` unless it does. */
      readonly kind: 'override' | 'alias';
      readonly type?: string;
      readonly value: string;
      readonly refs: readonly string[];
    }
  | {
      /** A storage buffer. */
      readonly kind: 'storage';
      readonly access: 'read' | 'read_write';
      readonly type: string;
      readonly refs: readonly string[];
    }
  | {
      /** A variable in workgroup memory. */
      readonly kind: 'workgroup';
      readonly type: string;
      readonly refs: readonly string[];
    }
  | {
      /** A number in the uniform buffer, by the name `params.NAME`. */
      readonly kind: 'field';
      readonly type: string;
      readonly refs: readonly string[];
    }
  | {
      /** A function, struct or constant. */
      readonly kind: 'code';
      readonly body: readonly Part[];
    }
);

/** A file under shaders/. */
export interface ShaderModule {
  /** Its path without the first folder: `rows/forward_registers`. */
  readonly name: string;
  /** Files that it always stands on, and names of interfaces, of which the host chooses an alternative. */
  readonly needs: readonly (ShaderModule | string)[];
  readonly declarations: readonly Declaration[];
}

import { NormError } from './errors.ts';

/**
 * The error of a method that was called on a Proxy: what an object keeps private, a Proxy of it cannot reach. Those that would be
 * hurt have `__v_skip`, by which Vue leaves an object as it is; other stores have a function for that.
 */
export const proxied = (what: string): NormError =>
  new NormError(
    'value',
    `This is a Proxy of a ${what}, not the ${what} itself, such as stores and reactive states make.`,
    'Keep it out of there: markRaw() or shallowRef() in Vue, ref() in Valtio; or pass the object behind it: toRaw().',
  );

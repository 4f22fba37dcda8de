import { NormError } from '../gpu/errors.ts';
import { shown } from '../gpu/shown.ts';
import type { Bytes } from './merge.ts';

/** Shorter ones can be found by trying all, with one frame that was overheard. */
const leastSecret = 16;

/** The bytes of a secret. Throws `value` unless it is one. */
export function secretBytes(secret: string | Uint8Array): Bytes {
  if (typeof secret !== 'string' && !(secret instanceof Uint8Array)) {
    throw new NormError('value', `secret is ${shown(secret)}.`, 'Pass a string or a Uint8Array.');
  }
  const bytes = typeof secret === 'string' ? new TextEncoder().encode(secret) : secret.slice();
  if (bytes.length < leastSecret) {
    throw new NormError(
      'value',
      `The secret has ${bytes.length} bytes, which can be guessed.`,
      `Use at least ${leastSecret} random ones, as of 'openssl rand -hex 32'.`,
    );
  }
  return bytes as Bytes;
}

import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import type { TuningStorage } from '../autotune/tuned.ts';

/**
 * A file that keeps what autotune finds, as localStorage does in a browser: a JSON object of texts. It is made when
 * something is first stored, in a folder that must be there, and replaced as a whole.
 */
export function fileStorage(path: string): TuningStorage {
  const read = (): Record<string, unknown> => {
    let text: string;
    try {
      text = readFileSync(path, 'utf8');
    } catch (error) {
      if ((error as { code?: string }).code === 'ENOENT') return {};
      throw error;
    }
    const items: unknown = JSON.parse(text);
    if (typeof items !== 'object' || items === null || Array.isArray(items)) {
      throw new Error(`${path} holds no JSON object.`);
    }
    return items as Record<string, unknown>;
  };
  return {
    getItem: (key) => {
      const item = read()[key];
      return typeof item === 'string' ? item : null;
    },
    setItem: (key, value) => {
      let items: Record<string, unknown> = {};
      try {
        items = read();
      } catch {
        // What cannot be read is of no use: getItem has said so.
      }
      const fresh = `${path}.${process.pid}.new`;
      writeFileSync(fresh, `${JSON.stringify({ ...items, [key]: value }, null, 2)}\n`);
      renameSync(fresh, path);
    },
  };
}

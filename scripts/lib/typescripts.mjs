// The versions of TypeScript that the package's types are for, each in a folder of its own in the cache.
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { npm } from './pack.mjs';
import { cache } from './paths.mjs';

/** The oldest and the newest, and those between that differ in typed arrays or in what `dom` has of WebGPU. */
export const typescripts = ['5.4', '5.6', '5.9', '6.0', '7.0'];

const folderOf = (/** @type {string} */ version) => join(cache, 'typescript', version);

/** @param {string} version one of `typescripts` */
export const tscOf = (version) => join(folderOf(version), 'node_modules', 'typescript', 'bin', 'tsc');

/** Installs those that are not there yet. */
export function ensureTypescripts() {
  for (const version of typescripts) {
    if (existsSync(tscOf(version))) continue;
    const folder = folderOf(version);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'package.json'), '{ "private": true }\n');
    const args = ['install', '--no-audit', '--no-fund', '--loglevel=error', `typescript@~${version}.0`];
    console.log(`$ npm ${args.join(' ')}`);
    const { status, stderr } = npm(args, folder);
    if (status !== 0) throw new Error(`npm could not install TypeScript ${version}:\n${stderr}`);
  }
}

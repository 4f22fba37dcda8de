import type { Gpu } from '../../src/index.ts';

/** As good a name as the browser gives. */
export function adapterName({ adapterInfo, facts }: Gpu): string {
  const { description, device, architecture, vendor } = adapterInfo ?? {};
  const name =
    description || device || [vendor, architecture].filter(Boolean).join(' ') || 'not named by the browser';
  return facts.software && !/software|swiftshader|llvmpipe/i.test(name) ? `${name} (software)` : name;
}

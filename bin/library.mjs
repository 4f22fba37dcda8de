// The built library, and what only this package's own commands use of it.

/** @param {string} path @returns {Promise<any>} */
const built = (path) => import(new URL(`../dist/${path}`, import.meta.url).href);

export async function library() {
  const [node, schedule, reference] = await Promise.all([
    built('node.js'),
    built('plan/schedule.js'),
    built('doctor/reference.js'),
  ]);
  return { ...node, schedule, reference };
}

/** What an adapter says it is. @param {any} gpu a context */
export function adapterName({ adapterInfo }) {
  const { vendor, architecture, device, description } = adapterInfo ?? {};
  return description || [vendor, architecture, device].filter(Boolean).join(' ') || 'not told';
}

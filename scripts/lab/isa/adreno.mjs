/** @param {import('../compile.mjs').Executable} executable @param {Record<string, unknown>} _adapter */
export function figures({ statistics }, _adapter) {
  return { ...statistics };
}

/** @param {string} _assembly @returns {import('../listing.mjs').Listing} */
export function listing(_assembly) {
  return { code: [], loops: [] };
}

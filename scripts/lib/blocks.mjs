/**
 * A page with another block between the two comments that mark it, `<!-- name:begin -->` and `<!-- name:end -->`.
 *
 * @param {string} page
 * @param {string} name
 * @param {string} block
 */
export function withBlock(page, name, block) {
  const [begin, end] = [`<!-- ${name}:begin -->`, `<!-- ${name}:end -->`];
  const [from, to] = [page.indexOf(begin), page.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`The page has no ${begin} … ${end}`);
  return `${page.slice(0, from + begin.length)}\n${block}\n${page.slice(to)}`;
}

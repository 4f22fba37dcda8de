/** Throws unless LayerNorm's outputs are those of its formulas. Rows are as long as weight. */
export function check({ x, weight, bias, dy, eps = 1e-5 }, found) {
  const size = weight.length;
  const expected = { y: [], dx: [], dweight: weight.map(() => 0), dbias: weight.map(() => 0) };
  const average = (values) => values.reduce((sum, value) => sum + value, 0) / size;
  for (let first = 0; first < x.length; first += size) {
    const [row, gradient] = [x, dy].map((values) => values.slice(first, first + size));
    const mean = average(row);
    const rstd = 1 / Math.sqrt(average(row.map((value) => (value - mean) ** 2)) + eps);
    const normal = row.map((value) => (value - mean) * rstd);
    const weighted = gradient.map((value, i) => value * weight[i]);
    const alongMean = average(weighted);
    const alongX = average(weighted.map((value, i) => value * normal[i]));
    expected.y.push(...normal.map((value, i) => value * weight[i] + bias[i]));
    expected.dx.push(...weighted.map((value, i) => rstd * (value - alongMean - normal[i] * alongX)));
    gradient.forEach((value, i) => {
      expected.dweight[i] += value * normal[i];
      expected.dbias[i] += value;
    });
  }
  for (const [name, values] of Object.entries(expected)) {
    const off = Math.max(...values.map((value, i) => Math.abs(value - found[name][i])));
    if (!(off <= 1e-5)) throw new Error(`${name} is off by ${off}`);
  }
}

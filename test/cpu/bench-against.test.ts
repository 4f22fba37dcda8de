import { describe, expect, it } from 'vitest';
import { comparison } from '../../bench/host/against.mjs';

const row = (name: string, ...spread: number[]) => ({ name, spread });

describe('the comparison of two commits', () => {
  it('takes the fastest sample of all runs and names the rows that are too slow', () => {
    const there = [[row('a', 10, 30), row('b', 4, 5)], [row('a', 12, 13)]];
    const here = [
      [row('a', 11, 12), row('b', 5, 6)],
      [row('a', 10.2, 19), row('b', 4.8, 5)],
    ];
    const { text, tooSlow } = comparison(there, here, 1.05);
    expect(tooSlow).toBe(1);
    expect(text.split('\n')).toEqual([
      'row | ms there | ms here | ratio',
      'a | 10.00 | 10.20 | 1.02',
      'b | 4.000 | 4.800 | 1.20 TOO SLOW',
      'geometric mean of 2 rows: 1.106; more than 1.05: 1',
    ]);
  });

  it('counts a row that failed here, and not one that is new', () => {
    const { text, tooSlow } = comparison([[row('a', 1)]], [[row('c', 1)]], 1.05);
    expect(tooSlow).toBe(1);
    expect(text).toContain('a | 1.000 | failed here | TOO SLOW');
    expect(text).toContain('c | not there | | new');
    expect(text).toContain('geometric mean of 0 rows: none');
  });
});

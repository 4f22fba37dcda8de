import { describe, expect, it } from 'vitest';
import { configurationOf, factsOf, fitted, simpler } from '../support/fuzz-config.ts';
import { damage } from '../support/guarded.ts';

describe('the fuzz', () => {
  const many = Array.from({ length: 3000 }, (_, index) => configurationOf(1, index));

  it('draws the same configuration for the same seed and index, and another for another seed', () => {
    expect(configurationOf(1, 42)).toEqual(many[42]);
    expect(configurationOf(2, 42)).not.toEqual(many[42]);
  });

  it('reaches every op, dtype, layout, pattern, strategy, kind of facts, and tensors without elements', () => {
    const seen = (of: (index: number) => unknown) => new Set(many.map((_, index) => of(index)));
    expect(seen((i) => many[i]?.subject.op).size).toBe(8);
    expect(seen((i) => many[i]?.response !== undefined)).toEqual(new Set([true, false]));
    const dtypes = seen((i) => `${many[i]?.subject.dtype} ${many[i]?.subject.paramDtype}`);
    for (const pair of ['f16 f16', 'f16 f32', 'bf16 bf16', 'bf16 f32']) expect(dtypes).toContain(pair);
    expect(seen((i) => many[i]?.subject.layout)).toContain('channels-last');
    expect(seen((i) => many[i]?.data.pattern)).toEqual(
      new Set([undefined, 'constant', 'ramp', 'two values']),
    );
    expect(seen((i) => many[i]?.data.outlier)).toContain(true);
    expect(seen((i) => many[i]?.data.magnitude)).toContain(3e38);
    expect(seen((i) => many[i]?.data.offset)).toContain(-1e5);
    expect(seen((i) => many[i]?.subject.schedule?.strategy).size).toBe(5);
    expect(seen((i) => many[i]?.facts).size).toBe(Object.keys(factsOf).length);
    expect(seen((i) => many[i]?.backward).size).toBe(2);
    expect(seen((i) => many[i]?.subject.evaluation)).toContain(true);
    expect(seen((i) => many[i]?.subject.shape.includes(0))).toContain(true);
  });

  it('asks a device for nothing that it lacks', () => {
    const bare = { subgroup: 0 };
    for (const one of many) {
      const { subject } = fitted(one, bare);
      expect(subject.schedule?.reduction).not.toBe('subgroups');
    }
  });

  it('shrinks to other configurations only, none of them larger', () => {
    const size = ({ subject }: (typeof many)[0]) => subject.shape.reduce((product, one) => product * one, 1);
    for (const one of many.slice(0, 200)) {
      for (const next of simpler(one)) {
        expect(next).not.toEqual(one);
        expect(size(next)).toBeLessThanOrEqual(size(one));
      }
    }
  });

  it('sees a byte written beside a tensor, on either side, and one changed in an input', () => {
    const before = new Uint8Array(256 + 8 + 256).fill(0xff);
    const one = { before, tensor: { byteLength: 6 } };
    const at = (place: number) => before.with(place, 1);
    expect(damage(one, before.slice(), true)).toBeNull();
    expect(damage(one, at(255), false)).toBe(-1);
    expect(damage(one, at(256 + 6), false)).toBe(6);
    expect(damage(one, at(256 + 5), false)).toBeNull();
    expect(damage(one, at(256 + 5), true)).toBe(5);
  });
});

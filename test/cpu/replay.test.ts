import { describe, expect, it } from 'vitest';
import { recordNames } from '../../src/gpu/execute.ts';
import { noteChange, Replay } from '../../src/gpu/replay.ts';
import { backwardNames, forwardNames } from '../../src/nn/norm-module.ts';

/** Options with a value of their own for each name. */
const optionsOf = (names: object) =>
  Object.fromEntries(Object.keys(names).map((name) => [name, { of: name }]));

describe('a call is found again', () => {
  for (const [pass, names] of Object.entries({ forward: forwardNames, backward: backwardNames })) {
    for (const name of Object.keys(names)) {
      it(`${name in recordNames ? 'wherever' : 'unless another'} ${name} is given to ${pass}`, () => {
        const replay = new Replay<string>(() => []);
        const options = optionsOf(names);
        replay.keep('x', 'addend', 'mode', options, 'made');
        const found = (given: object) => replay.find('x', 'addend', 'mode', given);
        expect(found({ ...options })).toBe('made');
        const { [name]: _, ...without } = options;
        const wanted = name in recordNames ? 'made' : null;
        expect(found({ ...options, [name]: { of: 'another' } })).toBe(wanted);
        expect(found(without)).toBe(wanted);
      });
    }
  }

  it('unless an argument, the mode or an option more is given', () => {
    const replay = new Replay<string>(() => []);
    replay.keep('x', 'addend', 'mode', { out: 1 }, 'made');
    expect(replay.find('x', 'addend', 'mode', { out: 1 })).toBe('made');
    expect(replay.find('other', 'addend', 'mode', { out: 1 })).toBeNull();
    expect(replay.find('x', 'other', 'mode', { out: 1 })).toBeNull();
    expect(replay.find('x', 'addend', 'other', { out: 1 })).toBeNull();
    expect(replay.find('x', 'addend', 'mode', { out: 1, later: 2 })).toBeNull();
    replay.forget();
    expect(replay.find('x', 'addend', 'mode', { out: 1 })).toBeNull();
  });

  it('unless the state is another one, which is listed after changes alone', () => {
    let state: unknown[] = [1, 2];
    let listed = 0;
    const replay = new Replay<string>(() => {
      listed += 1;
      return state;
    });
    replay.keep('x', undefined, undefined, {}, 'made');
    const found = () => replay.find('x', undefined, undefined, {});
    expect([found(), found(), listed]).toEqual(['made', 'made', 1]);
    noteChange();
    expect([found(), found(), listed]).toEqual(['made', 'made', 2]);
    state = [1, 3];
    noteChange();
    expect([found(), found()]).toEqual([null, null]);
    state = [1, 2];
    expect(found()).toBe('made');
  });
});

/** What every transport must do alike. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ProcessGroup } from '../../src/distributed/index.ts';
import { random } from '../support/data.ts';
import { fabrics, groupName } from './fabrics.ts';
import { refusal } from './refusal.ts';

const floats = (length: number, seed: number) => {
  const next = random(seed);
  return Float32Array.from({ length }, () => next() - 0.5);
};

const closeAll = (groups: readonly ProcessGroup[]) => Promise.all(groups.map((group) => group.close()));

/** Time for ranks to be connected and waiting: who comes after a refusal does not hear of it, and times out. */
const connected = () => new Promise((resolve) => setTimeout(resolve, 1000));

describe.each(fabrics)('over $name', (fabric) => {
  beforeAll(() => fabric.start());
  afterAll(() => fabric.stop());

  describe.each([1, 2, 3, 5, 8])('%i ranks', (size) => {
    test('collectives give the same on every rank, in rank order', async () => {
      const groups = await fabric.groups(size);
      const given = groups.map(({ rank }) => floats(1000, rank + 1)); // longer than a message over NATS
      const gathered = await Promise.all(
        groups.map((group) => group.allGather(given[group.rank] as Float32Array)),
      );
      for (const one of gathered) expect(one).toEqual(given);

      const total = given.reduce(
        (sum, values) => sum.map((s, i) => s + (values[i] as number)),
        new Array(1000).fill(0),
      );
      const reduced = await Promise.all(
        groups.map((group) => group.allReduce(given[group.rank] as Float32Array)),
      );
      for (const one of reduced) expect(one).toEqual(reduced[0]);
      expect(reduced[0]).toEqual(Float32Array.from(total));

      const root = size - 1;
      const sent = await Promise.all(
        groups.map((group) => group.broadcast(given[group.rank] as Float32Array, root)),
      );
      for (const one of sent) expect(one).toEqual(given[root]);
      await Promise.all(groups.map((group) => group.barrier()));
      await closeAll(groups);
    });

    test.each([
      ['flat', {}],
      ['in a tree', { treeAbove: 1, fanOut: 2 }],
    ])('each rank may have a part of its own length, %s', async (_, options) => {
      const groups = await fabric.groups(size, options);
      const lengths = Array.from({ length: size }, (_, rank) => [3, 0, 401, 1][rank % 4] as number);
      const total = lengths.reduce((sum, one) => sum + one, 0);
      const starts = lengths.map((_, i) => lengths.slice(0, i).reduce((sum, one) => sum + one, 0));
      const given = lengths.map((length, rank) => floats(length, rank + 1));
      const terms = groups.map(({ rank }) => floats(total, 100 + rank));
      await Promise.all(
        groups.map(async (group) => {
          const { rank } = group;
          const own = terms[rank] as Float32Array;
          const [all, part, sum] = await Promise.all([
            group.allGather(given[rank] as Float32Array, { lengths }),
            group.reduceScatter(own, { lengths }),
            group.allReduce(own),
          ]);
          expect(all).toEqual(given);
          const [start, length] = [starts[rank] as number, lengths[rank] as number];
          expect(part).toEqual(sum.slice(start, start + length));
          const expected = Float32Array.from({ length }, (_, i) =>
            terms.reduce((sum, one) => sum + (one[start + i] as number), 0),
          );
          expect(part).toEqual(expected);
          // Equal parts need no list; nor do empty ones.
          const equal = await group.reduceScatter(
            Float32Array.from({ length: 2 * size }, (_, i) => i + rank),
          );
          const ranks = (size * (size - 1)) / 2;
          expect(equal).toEqual(Float32Array.of(2 * rank * size + ranks, (2 * rank + 1) * size + ranks));
          expect(await group.reduceScatter(new Float32Array())).toEqual(new Float32Array());
          const nothing = { lengths: lengths.map(() => 0) };
          expect(await group.allGather(new Float32Array(), nothing)).toEqual(
            lengths.map(() => new Float32Array()),
          );
          expect(await group.reduceScatter(new Float32Array(), nothing)).toEqual(new Float32Array());
        }),
      );
      await closeAll(groups);
    });

    test('calls that overlap keep apart', async () => {
      const groups = await fabric.groups(size);
      const results = await Promise.all(
        groups.map(async (group) => {
          const values = new Float32Array(1);
          const calls: Promise<Float32Array>[] = [];
          for (let i = 0; i < 20; i++) {
            values[0] = i + group.rank; // payloads may be used again
            calls.push(group.allReduce(values));
          }
          return Promise.all(calls);
        }),
      );
      const ranks = (size * (size - 1)) / 2;
      for (const one of results)
        expect(one.map(([value]) => value)).toEqual(one.map((_, i) => size * i + ranks));
      await closeAll(groups);
    });
  });

  test('a tree of ranks gives the bits that all give by themselves', async () => {
    const run = async (treeAbove: number) => {
      const groups = await fabric.groups(7, { treeAbove, fanOut: 2 });
      const all = await Promise.all(
        groups.map(async (group) => {
          const values = floats(500, group.rank + 1);
          const reduced = await group.allReduce(values);
          const gathered = await group.allGather(values);
          const sent = await group.broadcast(values, 4);
          await group.barrier();
          return [reduced, ...gathered, sent];
        }),
      );
      await closeAll(groups);
      for (const one of all) expect(one).toEqual(all[0]);
      return all[0];
    };
    expect(await run(1)).toEqual(await run(7));
  });

  test('an empty payload', async () => {
    const groups = await fabric.groups(3);
    const all = await Promise.all(groups.map((group) => group.allGather(new Float32Array())));
    for (const one of all) expect(one.map(({ length }) => length)).toEqual([0, 0, 0]);
    await closeAll(groups);
  });

  test(`framing takes at most ${fabric.framing} bytes`, async () => {
    const groups = await fabric.groups(4);
    await Promise.all(groups.map((group) => group.allGather(new Float32Array(193))));
    for (const { traffic } of groups) {
      expect(traffic.collectives).toBe(1);
      expect(traffic.bytesSent).toBeLessThanOrEqual(193 * 4 + fabric.framing);
    }
    await closeAll(groups);
  });

  test.each([
    ['flat', {}],
    ['in a tree', { treeAbove: 1, fanOut: 2 }],
  ])('a rank that does not call is named by all others, %s', async (_, options) => {
    const groups = await fabric.groups(5, { ...options, timeout: 10_000 });
    const calling = groups.filter(({ rank }) => rank !== 3);
    await Promise.all(groups.map((group) => group.barrier()));
    const refusals = await Promise.all(
      calling.map((group) => refusal(group.allReduce(new Float32Array(4), { timeout: 3000 }))),
    );
    for (const { error } of refusals) {
      expect(error).toMatchObject({ code: 'timeout', ranks: [3] });
      expect(error.message).toMatch(/Rank 3 did not take part in call 2/);
    }
    // The one that comes too late is told why there is nobody, once it has heard so.
    await new Promise((resolve) => setTimeout(resolve, 20));
    const { error } = await refusal((groups[3] as ProcessGroup).allReduce(new Float32Array(4)));
    expect(error).toMatchObject({ code: 'timeout', ranks: [3] });
    await closeAll(groups);
  });

  test('an AbortSignal ends the call on all ranks', async () => {
    const groups = await fabric.groups(3);
    const abort = new AbortController();
    setTimeout(() => abort.abort(), 50);
    const { error } = await refusal((groups[1] as ProcessGroup).barrier({ signal: abort.signal }));
    expect(error).toMatchObject({ code: 'aborted', ranks: [1] });
    const other = await refusal((groups[0] as ProcessGroup).barrier());
    expect(other.error).toMatchObject({ code: 'aborted', ranks: [1] });
    const early = await refusal((groups[2] as ProcessGroup).barrier({ signal: AbortSignal.abort() }));
    expect(early.error.code).toBe('aborted');
    await closeAll(groups);
  });

  test.each<[string, (group: ProcessGroup) => Promise<unknown>, RegExp]>([
    ['another collective', (group) => group.barrier(), /barrier/],
    [
      'another length',
      (group) => group.allGather(new Float32Array(8)),
      /allGather of 8 floats.*allGather of 4 floats|allGather of 4 floats.*allGather of 8 floats/,
    ],
    ['another label', (group) => group.allGather(new Float32Array(4), { label: 'f16' }), /f16/],
    ['another root', (group) => group.broadcast(new Float32Array(4), 1), /broadcast/],
    ['a sum instead', (group) => group.reduceScatter(new Float32Array(4)), /reduceScatter of 4 floats/],
    [
      'lengths',
      (group) => group.allGather(new Float32Array(4), { lengths: [4, 4, 4, 4] }),
      /allGather of 16 floats/,
    ],
  ])('%s on one rank is a mismatch on every rank', async (_, call, words) => {
    const groups = await fabric.groups(4);
    const refusals = await Promise.all(
      groups.map((group) => refusal(group.rank === 2 ? call(group) : group.allGather(new Float32Array(4)))),
    );
    for (const { error } of refusals) {
      expect(error.code).toBe('mismatch');
      expect(error.ranks).toContain(2);
      expect(error.message).toMatch(words);
      expect(error.fix).toMatch(/same calls in the same order/);
    }
    const { error } = await refusal((groups[0] as ProcessGroup).barrier());
    expect(error.message).toMatch(/failed before/);
    await closeAll(groups);
  });

  test.each([
    ['flat', {}],
    ['in a tree', { treeAbove: 1, fanOut: 2 }],
  ])('ranks whose lengths differ are a mismatch on every rank, %s', async (_, options) => {
    for (const other of [
      [1, 2, 4, 1], // another total
      [2, 2, 1, 1], // the same total
      [1, 2, 1, 2], // the same for the rank itself, and for half of the others
    ]) {
      for (const call of ['allGather', 'reduceScatter'] as const) {
        const groups = await fabric.groups(4, options);
        const refusals = await Promise.all(
          groups.map((group) => {
            const lengths = group.rank === 1 ? other : [1, 2, 2, 1];
            const total = lengths.reduce((sum, one) => sum + one, 0);
            const given = call === 'allGather' ? (lengths[group.rank] as number) : total;
            return refusal(group[call](new Float32Array(given), { lengths }));
          }),
        );
        for (const { error } of refusals) expect(error.code).toBe('mismatch');
        await closeAll(groups);
      }
    }
  });

  test('a part of a sum takes only what its rank needs', async () => {
    const groups = await fabric.groups(4);
    await Promise.all(groups.map((group) => group.reduceScatter(new Float32Array(400))));
    for (const { traffic } of groups) {
      expect(traffic).toEqual({
        collectives: 1,
        bytesSent: 3 * (fabric.framing + 400),
        bytesReceived: 3 * (fabric.framing + 400),
      });
    }
    await closeAll(groups);
  });

  test('a rank that closes is missed at once', async () => {
    const groups = await fabric.groups(3);
    const waiting = [0, 1].map((rank) => refusal((groups[rank] as ProcessGroup).barrier()));
    await (groups[2] as ProcessGroup).close();
    for (const { error } of await Promise.all(waiting)) {
      expect(error).toMatchObject({ code: 'rank-lost', ranks: [2] });
    }
    const { error } = await refusal((groups[2] as ProcessGroup).barrier());
    expect(error.code).toBe('destroyed');
    await closeAll(groups);
  });

  test('bad arguments send nothing', async () => {
    const groups = await fabric.groups(2);
    const [group] = groups as [ProcessGroup, ProcessGroup];
    const bad: [Promise<unknown>, RegExp][] = [
      [group.broadcast(new Float32Array(1), 2), /root is 2/],
      [group.barrier({ timeout: 0 }), /timeout is 0/],
      [group.barrier({ label: 'seventeen letters' }), /label/],
      [group.allGather([1] as unknown as Float32Array), /no Float32Array/],
      [group.reduceScatter([1, 2] as unknown as Float32Array), /no Float32Array/],
      [group.reduceScatter(new Float32Array(3)), /3 floats for 2 equal parts/],
      [group.reduceScatter(new Float32Array(3), { lengths: [1, 1] }), /3 floats for 2 of lengths/],
      [
        group.allGather(new Float32Array(2), { lengths: [1, 2] }),
        /Rank 0 gives 2 floats, and lengths says 1/,
      ],
      [group.allGather(new Float32Array(1), { lengths: [1] }), /lengths is/],
      [group.allGather(new Float32Array(1), { lengths: [1, -1] }), /lengths is/],
      [group.allGather(new Float32Array(1), { lengths: 1 as unknown as number[] }), /lengths are 1/],
      [group.allReduce(new Float32Array(1), { lengths: [1, 1] } as object), /no option 'lengths'/],
    ];
    for (const [call, words] of bad) {
      const { error } = await refusal(call);
      expect(error.code).toBe('value');
      expect(error.message).toMatch(words);
    }
    expect(group.traffic).toEqual({ collectives: 0, bytesSent: 0, bytesReceived: 0 });
    await Promise.all(groups.map((one) => one.barrier()));
    await closeAll(groups);
  });

  if (!fabric.meets) return;

  describe('meeting', () => {
    test('ranks that start one after the other', async () => {
      const group = groupName();
      const joins: Promise<ProcessGroup>[] = [];
      for (const rank of [2, 0, 1]) {
        joins.push(fabric.join({ rank, size: 3, group }));
        await new Promise((resolve) => setTimeout(resolve, 60));
      }
      const groups = await Promise.all(joins);
      await Promise.all(groups.map((one) => one.barrier()));
      await closeAll(groups);
    });

    test('who is missing is named', async () => {
      const group = groupName();
      const joins = [0, 2].map((rank) => refusal(fabric.join({ rank, size: 4, group, timeout: 300 })));
      for (const { error } of await Promise.all(joins)) {
        expect(error).toMatchObject({ code: 'timeout', ranks: [1, 3] });
      }
    });

    test('two of one rank, and three that were to meet them', async () => {
      const group = groupName();
      const join = (rank: number) => refusal(fabric.join({ rank, size: 4, group, timeout: 10_000 }));
      const waiting = [0, 2].map(join);
      await connected();
      const joins = [...waiting, ...[1, 1].map(join)];
      for (const { error } of await Promise.all(joins)) {
        expect(error).toMatchObject({ code: 'mismatch', ranks: [1] });
        expect(error.message).toMatch(/two of rank 1/);
      }
    });

    test('one rank too many does not disturb a group', async () => {
      const group = groupName();
      const groups = await Promise.all([0, 1].map((rank) => fabric.join({ rank, size: 2, group })));
      const { error } = await refusal(fabric.join({ rank: 1, size: 2, group, timeout: 5000 }));
      expect(error).toMatchObject({ code: 'mismatch', ranks: [1] });
      await Promise.all(groups.map((one) => one.barrier()));
      await closeAll(groups);
    });

    test('another WORLD_SIZE', async () => {
      const group = groupName();
      const join = (rank: number, size: number) =>
        refusal(fabric.join({ rank, size, group, timeout: 10_000 }));
      const waiting = [join(0, 3), join(2, 3)];
      await connected();
      const joins = [...waiting, join(1, 2)];
      for (const { error } of await Promise.all(joins)) {
        expect(error.code).toBe('mismatch');
        expect(error.fix).toMatch(/WORLD_SIZE/);
      }
    });

    test('bad options', async () => {
      for (const options of [
        { rank: 2 },
        { rank: -1 },
        { rank: 0.5 },
        { size: 0 },
        { group: 'a.b' },
        { timeout: -1 },
      ]) {
        const { error } = await refusal(fabric.join({ rank: 0, size: 2, group: 'g', ...options }));
        expect(error.code).toBe('value');
      }
    });

    test('joining can be aborted', async () => {
      const { error } = await refusal(
        fabric.join({ rank: 0, size: 2, group: groupName(), signal: AbortSignal.timeout(50) }),
      );
      expect(error).toMatchObject({ code: 'aborted', ranks: [0] });
    });
  });
});

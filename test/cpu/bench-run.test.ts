import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { parseOptions, runBench } from '../../bench/host/run.mjs';

const folder = mkdtempSync(join(tmpdir(), 'webgpu-norm-run-'));
const file = join(folder, 'result.json');
afterAll(() => rmSync(folder, { recursive: true }));
beforeEach(() => {
  const log = vi.spyOn(console, 'log').mockImplementation(() => {});
  return () => log.mockRestore();
});

const rows = ['one', 'two', 'three'];
const measured = (name: string) => ({
  ...{ name, ms: 1, wallMs: 1, spread: [1, 1], gbps: 1, copyFraction: 1, copy: { name: 'grid', ms: 1 } },
  ...{ relError: 0, compared: 'all', strategy: 'registers', peers: {}, peerDetails: {} },
});
const swept = { chosen: 'registers', ms: [['default', 1]] };

/** A run over an engine whose rows give what `row` says; which rows were asked for, and what was written. */
async function runOver(
  args: string[],
  row: (name: string, peers: string[]) => object,
  { inProcess = false } = {},
) {
  const asked: string[] = [];
  let opened = 0;
  const give = async (name: string, peers: string[]) => {
    asked.push(name);
    return row(name, peers);
  };
  const host = {
    ...{ version: '1', driver: undefined, inProcess },
    run: (name: string, { peers }: { peers: string[] }) => give(name, peers),
    sweep: (name: string) => give(name, []),
    start: async () => ({ adapter: 'a GPU', method: 'm', peers: ['tfjs 4'], rows, linear: [] }),
    overhead: async () => ({ moduleUs: 0.075, byHandUs: 0.06 }),
    close: async () => {},
  };
  const open = async () => {
    opened += 1;
    return host;
  };
  const about = { engine: 'dawn', commit: 'c', program: 'bench' };
  const passed = await runBench(open, parseOptions([...args, '--json', file]), about);
  return { passed, asked, opened, written: JSON.parse(readFileSync(file, 'utf8')) };
}

const fail = (text: string): never => {
  throw new Error(text);
};

describe('options of the bench', () => {
  it.each([
    ['--linear', '--check'],
    ['--linear', '--sweep'],
    ['--check', '--sweep'],
    ['--linear', '--quick'],
    ['--sweep', '--peers'],
    ['--check', '--peers', 'tfjs'],
    ['--model', 'all', '--quick'],
    ['--model', 'all', '--engine', 'dawn'],
    ['--check', '--model', 'all'],
  ])('%s excludes %s', (...args) => {
    expect(() => parseOptions(args)).toThrow(args[0]);
  });

  it('are a check with samples of half the length, beside all peers', () => {
    expect(parseOptions(['--check', '--quick', '--peers'])).toMatchObject({ check: true, peers: 'all' });
  });
});

describe('a run of the bench', () => {
  it('says which peers there are, where a name is none of theirs', async () => {
    const run = runOver(['--peers', 'tfsj'], measured);
    await expect(run).rejects.toThrow('There is no peer tfsj: tfjs 4.');
  });

  it('starts another engine for a row that its engine did not survive, whatever comes of it', async () => {
    const row = (name: string, peers: string[]) =>
      name !== 'two'
        ? measured(name)
        : peers.length > 0
          ? fail('device lost')
          : { name, notRun: 'no memory' };
    const { passed, asked, opened, written } = await runOver(['--peers'], row);
    expect(passed).toBe(true);
    expect(asked).toEqual(['one', 'two', 'two', 'three']);
    expect(opened).toBe(2);
    expect(written.notRun).toEqual([{ name: 'two', notRun: 'no memory' }]);
    expect(written.rows).toHaveLength(2);
  });

  it('ends with a row that hangs in its own process', async () => {
    const row = (name: string) => (name === 'two' ? fail('given up after 15 minutes') : measured(name));
    const { passed, asked, opened, written } = await runOver([], row, { inProcess: true });
    expect(passed).toBe(false);
    expect(asked).toEqual(['one', 'two']);
    expect(opened).toBe(1);
    expect(written.failures).toEqual([{ name: 'two', why: 'given up after 15 minutes' }]);
    expect(written.rows).toHaveLength(1);
  });

  it('sweeps the rows after one that fails', async () => {
    const row = (name: string) => (name === 'two' ? fail('no such shape') : swept);
    const { passed, written } = await runOver(['--sweep'], row);
    expect(passed).toBe(false);
    expect(written.sweep.map(({ name }: { name: string }) => name)).toEqual(['one', 'three']);
    expect(written.failures).toEqual([{ name: 'two', why: 'no such shape' }]);
    expect(written.command).toBe('bench --sweep');
  });
});

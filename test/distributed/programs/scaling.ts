/**
 * The cost of SyncBatchNorm's collective, without a GPU: measured on this machine for a few ranks, simulated for many.
 * Started by scripts/scaling.mjs, and as a worker thread or process by itself.
 */
import { fork } from 'node:child_process';
import { isMainThread, type MessagePort, parentPort, Worker, workerData } from 'node:worker_threads';
import { headerBytes } from '../../../src/distributed/frame.ts';
import {
  LocalProcessGroup,
  MessagePortHub,
  MessagePortProcessGroup,
  type PortLike,
  type ProcessGroup,
} from '../../../src/distributed/index.ts';
import { joinAll, merging } from '../../../src/distributed/merge.ts';
import { mergeMoments, packMoments } from '../../../src/distributed/moments.ts';
import { NatsProcessGroup } from '../../../src/distributed/nats.ts';

const channelCounts = [64, 256, 2048];
const rankCounts = [2, 4, 8, 16];
/** The default of every group. */
const fanOut = 16;

type Transport = 'local' | 'ports' | 'channel' | 'nats';

/** What a rank elsewhere is told, and what it answers. */
interface Orders {
  transport: Transport;
  rank: number;
  size: number;
  group: string;
  repeats: number;
  url: string;
  port?: MessagePort;
}

interface Cost {
  ms: number;
  bytes: number;
}

/** The statistics of a rank, as SyncBatchNorm sends them. */
function statistics(channels: number, rank: number): Float32Array<ArrayBuffer> {
  const values = new Float32Array(3 * channels + 1);
  const wave = (i: number) => Math.sin(1 + i * (rank + 1));
  const means = Float32Array.from({ length: 2 * channels }, (_, i) =>
    i % 2 === 0 ? 5 + wave(i) : 1e-7 * wave(i),
  );
  const spread = Float32Array.from({ length: channels }, (_, i) => 100 * (2 + wave(i)));
  packMoments(values, 64 + (rank % 7), means, spread);
  return values;
}

/** The median of `repeats` collectives, in ms, and what each sent. */
async function costOf(group: ProcessGroup, channels: number, repeats: number): Promise<Cost> {
  const values = statistics(channels, group.rank);
  const merge = mergeMoments([channels]);
  for (let i = 0; i < 5; i++) await group.allMerge(values, merge);
  const before = group.traffic.bytesSent;
  const times: number[] = [];
  for (let i = 0; i < repeats; i++) {
    const began = performance.now();
    await group.allMerge(values, merge);
    times.push(performance.now() - began);
  }
  times.sort((a, b) => a - b);
  return {
    ms: times[times.length >> 1] as number,
    bytes: (group.traffic.bytesSent - before) / repeats,
  };
}

async function allCosts(group: ProcessGroup, repeats: number): Promise<Cost[]> {
  const costs: Cost[] = [];
  for (const channels of channelCounts) costs.push(await costOf(group, channels, repeats));
  await group.barrier();
  await group.close();
  return costs;
}

async function obey({ transport, port, url, repeats, ...where }: Orders): Promise<Cost[]> {
  const group =
    transport === 'nats'
      ? await NatsProcessGroup.join({ ...where, nats: { servers: url } })
      : await MessagePortProcessGroup.join(
          (transport === 'ports' ? port : new BroadcastChannel(where.group)) as unknown as PortLike,
          where,
        );
  return allCosts(group, repeats);
}

/** Ranks in threads, in processes for NATS, or all here; the costs that rank 0 has seen, per number of channels. */
async function run(
  transport: Transport,
  size: number,
  url: string,
  self: string,
  repeats: number,
): Promise<Cost[]> {
  if (transport === 'local') {
    const groups = LocalProcessGroup.create(size);
    return (await Promise.all(groups.map((group) => allCosts(group, repeats))))[0] as Cost[];
  }
  const hub = new MessagePortHub();
  const group = `scaling-${transport}-${size}`;
  const answers = Array.from({ length: size }, (_, rank): Promise<Cost[]> => {
    const orders: Orders = { transport, rank, size, group, repeats, url };
    if (transport === 'nats') {
      const child = fork(self, ['rank']);
      child.send(orders);
      return new Promise((resolve) => child.once('message', (costs) => resolve(costs as Cost[])));
    }
    const port = transport === 'ports' ? (hub.connect() as unknown as MessagePort) : undefined;
    const worker = new Worker(self, {
      workerData: { scaling: { ...orders, ...(port && { port }) } },
      transferList: port ? [port] : [],
    });
    return new Promise((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
    });
  });
  const costs = await Promise.all(answers);
  hub.close();
  return costs[0] as Cost[];
}

export async function measure(url: string, self: string, repeats: number): Promise<void> {
  console.log('\n| transport | ranks | C | ms per collective | bytes per rank |\n|---|---|---|---|---|');
  for (const transport of ['local', 'ports', 'channel', 'nats'] as const) {
    for (const size of rankCounts) {
      const costs = await run(transport, size, url, self, repeats);
      costs.forEach(({ ms, bytes }, i) => {
        console.log(
          `| ${transport} | ${size} | ${channelCounts[i]} | ${ms.toFixed(2)} | ${bytes.toFixed(0)} |`,
        );
      });
    }
  }
}

/** What all ranks would make of everything if each merged by itself. */
function merged(size: number, channels: number): Float64Array {
  const combine = merging(mergeMoments([channels]));
  const parts = Array.from({ length: size }, (_, rank) => {
    return combine.lift(new Uint8Array(statistics(channels, rank).buffer));
  });
  const bytes = joinAll(parts, fanOut, combine);
  return new Float64Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 8);
}

/** The collective of a large group, by the tree, in one realm: its result, and what the ranks received. */
async function byTree(size: number, channels: number) {
  const groups = LocalProcessGroup.create(size, { treeAbove: 1, fanOut, timeout: 600_000 });
  const merge = mergeMoments([channels]);
  const results = await Promise.all(
    groups.map((group) => group.allMerge(statistics(channels, group.rank), merge)),
  );
  const received = groups.map(({ traffic }) => traffic.bytesReceived);
  await Promise.all(groups.map((group) => group.close()));
  return {
    results,
    most: Math.max(...received),
    average: received.reduce((sum, one) => sum + one, 0) / size,
  };
}

/** The same statistics by the textbook, in two passes. */
function expected(size: number, channels: number): { mean: Float64Array; spread: Float64Array } {
  const mean = new Float64Array(channels);
  const spread = new Float64Array(channels);
  const all = Array.from({ length: size }, (_, rank) => statistics(channels, rank));
  const counts = all.map((values) => new Uint32Array(values.buffer)[0] as number);
  const total = counts.reduce((sum, count) => sum + count, 0);
  for (let c = 0; c < channels; c++) {
    const meanOf = (values: Float32Array) => (values[1 + 2 * c] as number) + (values[2 + 2 * c] as number);
    mean[c] = all.reduce((sum, values, rank) => sum + meanOf(values) * (counts[rank] as number), 0) / total;
    spread[c] = all.reduce((sum, values, rank) => {
      const off = meanOf(values) - (mean[c] as number);
      return sum + (values[1 + 2 * channels + c] as number) + off * off * (counts[rank] as number);
    }, 0);
  }
  return { mean, spread };
}

const kilobytes = (bytes: number) => (bytes / 1024).toFixed(1);

/** Median ms of merging the parts of `size` ranks once. */
function mergeCost(size: number, channels: number): number {
  const times = Array.from({ length: 5 }, () => {
    const began = performance.now();
    merged(size, channels);
    return performance.now() - began;
  });
  return times.sort((a, b) => a - b)[2] as number;
}

export async function simulate(): Promise<void> {
  console.log(
    '\n| ranks | C | flat: received, KiB | merge, ms | tree: by the busiest rank, KiB | by the average rank, KiB | error |',
  );
  console.log('|---|---|---|---|---|---|---|');
  for (const size of [16, 64, 256, 1024]) {
    for (const channels of channelCounts) {
      const alone = merged(size, channels);
      const { results, most, average } = await byTree(size, channels);
      for (const one of results) {
        if (one.length === alone.length && one.every((value, i) => Object.is(value, alone[i]))) continue;
        throw new Error(`${size} ranks, ${channels} channels: the tree gives other bits`);
      }
      const { mean, spread } = expected(size, channels);
      let error = 0;
      for (let c = 0; c < channels; c++) {
        const [m, s] = [alone[1 + c] as number, alone[1 + channels + c] as number];
        error = Math.max(
          error,
          Math.abs(m / (mean[c] as number) - 1),
          Math.abs(s / (spread[c] as number) - 1),
        );
      }
      const flat = (size - 1) * (4 * (3 * channels + 1) + headerBytes);
      const cells = [
        size,
        channels,
        kilobytes(flat),
        mergeCost(size, channels).toFixed(2),
        kilobytes(most),
        kilobytes(average),
      ];
      console.log(`| ${cells.join(' | ')} | ${error.toExponential(1)} |`);
    }
  }
  console.log('\nThe tree gave the bits of the flat way, on every rank.');
}

if (!isMainThread && workerData?.scaling) {
  parentPort?.postMessage(await obey(workerData.scaling));
} else if (process.argv[2] === 'rank') {
  process.once('message', async (orders: Orders) => {
    process.send?.(await obey(orders), () => process.exit(0));
  });
}

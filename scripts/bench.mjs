// `npm run bench`: every op at fixed shapes in an engine: correctness first, then times, beside copy kernels and, with
// --peers, beside other libraries. bench/NOTES.md tells the method.
import { bundleBench } from '../bench/host/bundle.mjs';
import { engines, peerEngine } from '../bench/host/engines.mjs';
import { runModel } from '../bench/host/model.mjs';
import { commonUsage, parseOptions, runBench } from '../bench/host/run.mjs';
import { serve } from '../bench/host/server.mjs';
import { commit } from './lib/commit.mjs';

const usage = `npm run bench -- [options]
  --engine NAME   ${Object.keys(engines).join(', ')} (default chromium)
  --peers [NAMES] beside onnxruntime-web and tfjs, or those named, in the same page and on the same device
  --model NAME    predicted times for GPUs that are not at hand, from what the compiler lab found (docs/lab.md): of a class (phone,
                  integrated, desktop, datacenter), of one GPU such as h100, or all; without --filter written to bench/lab, too
  --check         all rows beside all peers; exit 1 unless every line of bench/host/check.mjs holds
${commonUsage}`;

async function main() {
  const options = parseOptions();
  if (options.help) return void console.log(usage);
  if (options.model !== undefined) return runModel(options.model, options.filter);
  const open = engines[options.engine];
  if (!open) throw new Error(`There is no engine ${options.engine}: ${Object.keys(engines).join(', ')}.`);
  const peers = options.check || options.peers !== undefined;
  if (peers && options.engine !== peerEngine) throw new Error(`The peers need --engine ${peerEngine}.`);
  await bundleBench(peers);
  const server = await serve();
  try {
    const about = { engine: options.engine, commit: commit(), program: 'npm run bench --' };
    if (!(await runBench(() => open(server.url), options, about))) process.exitCode = 1;
  } finally {
    server.close();
  }
}

// puppeteer only closes its browser on these, which would then be taken for a crash.
for (const signal of ['SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(1));
await main();
process.exit(); // Dawn's threads would keep Node alive

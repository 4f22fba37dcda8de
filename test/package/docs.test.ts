// The documentation: every ```ts block of it is compiled against the packed package and, but for those marked `browser`,
// run on Dawn (those with another mark are modules that others import); every link inside it leads somewhere.
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import ts from 'typescript';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bin, root } from '../../scripts/lib/paths.mjs';
import { encodeSafetensors } from '../../src/index.ts';
import { type App, makeApp } from './app.ts';
import { run } from './run.ts';

interface Snippet {
  /** File and line. */
  name: string;
  code: string;
  /** Not those that need a browser. */
  runs: boolean;
  /** The module that it is to others. */
  file: string | undefined;
}

const pages = [
  'README.md',
  ...readdirSync(join(root, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];

const fixtures = [
  ...readFileSync(join(root, 'test/package/fixtures.ts'), 'utf8').matchAll(/^export const (\w+)/gm),
].map(([, name]) => name as string);

/** With what the fixtures have of names that the snippet does not declare. On one line, so that lines stay where they are. */
function withFixtures(code: string): string {
  const used = new Set<string>();
  const declared = new Set<string>();
  const visit = (node: ts.Node): void => {
    if (ts.isIdentifier(node)) {
      const { parent } = node;
      const names = 'name' in parent && parent.name === node;
      const property = ts.isPropertyAccessExpression(parent) || ts.isPropertyAssignment(parent);
      if (!names || ts.isShorthandPropertyAssignment(parent)) used.add(node.text);
      else if (!property) declared.add(node.text);
    }
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile('snippet.ts', code, ts.ScriptTarget.ES2022, true));
  const free = fixtures.filter((name) => used.has(name) && !declared.has(name));
  return free.length > 0 ? `import { ${free.join(', ')} } from './fixtures'; ${code}` : `export {}; ${code}`;
}

function snippetsOf(page: string): Snippet[] {
  const text = readFileSync(join(root, page), 'utf8');
  return [...text.matchAll(/^```ts(?<mark> \w+)?\n(?<code>[\s\S]*?)^```$/gm)].map(({ index, groups }) => ({
    name: `${page}:${text.slice(0, index).split('\n').length}`,
    code: withFixtures(groups?.code ?? ''),
    runs: groups?.mark !== ' browser',
    file: groups?.mark === ' browser' ? undefined : groups?.mark?.trim(),
  }));
}

const snippets = pages.flatMap(snippetsOf);
const fileOf = ({ name, file }: Snippet) => file ?? name.replaceAll(/\W+/g, '-');

/** torch.nn.Sequential(torch.nn.LayerNorm(8), torch.nn.BatchNorm1d(8)), as it is made. */
function norms(): Uint8Array {
  const [ones, zeros] = [new Float32Array(8).fill(1), new Float32Array(8)];
  const values = { '0.weight': ones, '0.bias': zeros, '1.weight': ones, '1.bias': zeros };
  const running = { '1.running_mean': zeros, '1.running_var': ones };
  const vectors = Object.entries({ ...values, ...running }).map(
    ([name, data]) => [name, { dtype: 'f32', shape: [8], data }] as const,
  );
  const count = { dtype: 'i64', shape: [], data: BigInt64Array.of(0n) } as const;
  return encodeSafetensors([...vectors, ['1.num_batches_tracked', count]]);
}

let app: App;
let said: Map<string, string>;
/** The typed arrays that a snippet printed. */
let printed: Map<string, number[][]>;

const linked = [
  '@types/node',
  '@webgpu/types',
  'webgpu',
  'onnxruntime-web',
  'onnxruntime-common',
  '@tensorflow/tfjs-core',
  '@tensorflow/tfjs-layers',
  '@tensorflow/tfjs-backend-webgpu',
  '@nats-io/nats-core',
  '@nats-io/transport-node',
  'typegpu',
  '@jax-js/jax',
];

/** Imports the snippets one after another and says what became of each. */
const runner = `
import { create, globals } from 'webgpu';
Object.assign(globalThis, globals, { dawn: create([]) });
Object.defineProperty(globalThis, 'navigator', { value: { gpu: globalThis.dawn }, configurable: true });
const print = console.log;
let arrays = [];
console.log = (...args) => arrays.push(...args.filter(ArrayBuffer.isView).map((array) => [...array]));
for (const name of process.argv.slice(2)) {
  arrays = [];
  try {
    await import('./' + name + '.js');
    print('@' + JSON.stringify([name, '', arrays]));
  } catch (error) {
    print('@' + JSON.stringify([name, String(error?.stack ?? error), arrays]));
  }
}
process.exit();
`;

beforeAll(async () => {
  app = await makeApp(linked);
  const folder = join(app.folder, 'snippets');
  mkdirSync(folder);
  cpSync(join(root, 'test/package/fixtures.ts'), join(folder, 'fixtures.ts'));
  cpSync(join(root, 'test/golden/state-dict.safetensors'), join(app.folder, 'model.safetensors'));
  writeFileSync(join(app.folder, 'norms.safetensors'), norms());
  const compilerOptions = {
    target: 'es2022',
    module: 'esnext',
    moduleResolution: 'bundler',
    lib: ['es2023', 'dom', 'esnext.disposable'],
    types: ['node', '@webgpu/types'],
    strict: true,
    skipLibCheck: true,
    noEmit: true,
    allowImportingTsExtensions: true,
  };
  writeFileSync(
    join(app.folder, 'tsconfig.json'),
    JSON.stringify({ compilerOptions, include: ['snippets'] }),
  );
  writeFileSync(join(folder, 'runner.js'), runner);
  const emit = (name: string, code: string) => {
    const { outputText } = ts.transpileModule(code, {
      compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext },
    });
    writeFileSync(
      join(folder, `${name}.js`),
      outputText.replaceAll(/from '(\.\/\w+)(?:\.ts)?'/g, "from '$1.js'"),
    );
  };
  emit('fixtures', readFileSync(join(folder, 'fixtures.ts'), 'utf8'));
  for (const snippet of snippets) {
    writeFileSync(join(folder, `${fileOf(snippet)}.ts`), snippet.code);
    emit(fileOf(snippet), snippet.code);
  }
  const running = snippets.filter(({ runs }) => runs).map(fileOf);
  const { stdout, stderr } = await run(process.execPath, ['snippets/runner.js', ...running], {
    cwd: app.folder,
    engine: 'dawn',
  });
  const lines = stdout.split('\n').filter((line) => line.startsWith('@'));
  const told: [string, string, number[][]][] = lines.map((line) => JSON.parse(line.slice(1)));
  said = new Map(told.map(([name, error]) => [name, error]));
  printed = new Map(told.map(([name, , arrays]) => [name, arrays]));
  if (said.size === 0) throw new Error(`No snippet ran: ${stderr}`);
}, 180_000);
afterAll(() => app?.remove());

it('has snippets to try', () => {
  expect(snippets.length).toBeGreaterThan(20);
});

it('compiles', async () => {
  const { status, stdout } = await run(process.execPath, [bin.tsc, '-p', app.folder], { cwd: app.folder });
  expect(stdout).toBe('');
  expect(status).toBe(0);
}, 120_000);

describe('runs', () => {
  it.each(snippets.filter(({ runs }) => runs).map((snippet) => [snippet.name, snippet] as const))(
    '%s',
    (_, snippet) => {
      expect(said.get(fileOf(snippet)) ?? 'it was not reached').toBe('');
    },
  );
});

/** What the comments beside `console.log(await …)` say that it prints. */
const promised = (code: string): string[][] =>
  [...code.matchAll(/^console\.log\(await .*\/\/ \[([-\d., ]+)\]$/gm)].map(([, list = '']) =>
    list.split(', '),
  );

describe('prints what it says', () => {
  it.each(
    snippets
      .filter(({ runs, code }) => runs && promised(code).length > 0)
      .map((snippet) => [snippet.name, snippet] as const),
  )('%s', (_, snippet) => {
    // To the places that the comment has.
    const shown = promised(snippet.code).map((list, i) =>
      list.map((text, j) => {
        const value = printed.get(fileOf(snippet))?.[i]?.[j];
        const rounded = value?.toFixed(text.split('.')[1]?.length ?? 0);
        return rounded === '-0' ? '0' : rounded;
      }),
    );
    expect(shown).toEqual(promised(snippet.code));
  });
});

describe('links lead somewhere', () => {
  it.each(pages)('%s', (page) => {
    const text = readFileSync(join(root, page), 'utf8').replaceAll(/```[\s\S]*?```/g, '');
    for (const [, target = ''] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(target)) continue;
      const [file = '', anchor] = target.split('#');
      const path = file ? join(root, dirname(page), file) : join(root, page);
      expect(existsSync(path), target).toBe(true);
      if (!anchor) continue;
      const headings = [...readFileSync(path, 'utf8').matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
        heading
          .toLowerCase()
          .replaceAll(/[^\w\s-]/g, '')
          .trim()
          .replaceAll(' ', '-'),
      );
      expect(headings, target).toContain(anchor);
    }
  });
});

// A kernel of the lab: its text, and what can be read off that.
import { createHash } from 'node:crypto';

export interface CorpusKernel {
  /** Of its text. */
  id: string;
  /** The file under shaders/kernels, or that on the command line. */
  family: string;
  /** In words: what tells it from others of its family. */
  variant: string;
  wgsl: string;
  /** Storage buffers, and the types of their elements. */
  bindings: { name: string; access: 'read' | 'read_write'; type: string }[];
  /** Bytes of workgroup memory that it declares. */
  shared: number;
  /** Rows of the bench, and calls altogether, that it is part of. */
  rows: number;
  uses: number;
  /** One of the calls. */
  example: string;
}

export function kernelOf(family: string, wgsl: string, example: string): CorpusKernel {
  const id = createHash('sha256').update(wgsl).digest('hex').slice(0, 12);
  const text = new Text(wgsl);
  return {
    id,
    family,
    variant: text.variant(),
    wgsl,
    bindings: text.bindings(),
    shared: text.shared(),
    rows: 0,
    uses: 0,
    example,
  };
}

/** What a text shows of the choices that it was linked with. */
const marks: [string, RegExp][] = [
  ['scalar', /> (x|dy): array<(X|f32|f16)>/],
  ['portable', /^(?![\s\S]*\bsubgroup[A-Z])[\s\S]*var<workgroup>/],
  ['subgroups', /\bsubgroup[A-Z]\w*\(/],
  ['residual', /> residual: /],
  ['dsum', /> dsum: /],
  ['y', /> y: /],
  ['dx', /> dx: /],
  ['saves', /read_write> (mean|rstd): /],
  ['weight', /> weight: /],
  ['bias', /> bias: /],
  ['partials', /read_write> (partials|gradients): /],
  ['running', /> running_mean: /],
];

class Text {
  readonly #wgsl: string;
  readonly #aliases: Map<string, string>;

  constructor(wgsl: string) {
    this.#wgsl = wgsl;
    this.#aliases = new Map(
      [...wgsl.matchAll(/^alias (\w+) = (.+);$/gm)].map(([, alias = '', type = '']) => [alias, type]),
    );
  }

  #constant(name: string): string | undefined {
    return new RegExp(`^const ${name}: \\w+ = (\\w+?)u?;$`, 'm').exec(this.#wgsl)?.[1];
  }

  /** A type without aliases. */
  #type(type: string): string {
    const known = this.#aliases.get(type);
    return known ? this.#type(known) : type.replace(/<(\w+)>/, (_, inner) => `<${this.#type(inner)}>`);
  }

  bindings(): CorpusKernel['bindings'] {
    const declared = this.#wgsl.matchAll(/var<storage, (read|read_write)> (\w+): array<(.+)>;/g);
    return [...declared].map(([, access, name = '', type = '']) => ({
      name,
      access: access as 'read' | 'read_write',
      type: this.#type(type),
    }));
  }

  shared(): number {
    const declared = this.#wgsl.matchAll(/var<workgroup> \w+: array<(.+), ([\w */]+)>;/g);
    return [...declared].reduce((sum, [, element = '', count = '']) => {
      const type = this.#type(element);
      const [, lanes = '1', scalar = type] = /^vec(\d)<(\w+)>$/.exec(type) ?? [];
      const each = Number(lanes === '3' ? '4' : lanes) * (scalar === 'f16' ? 2 : 4);
      return sum + each * this.#product(count);
    }, 0);
  }

  /** `WORKGROUP / 2u * ITEMS` as a number. */
  #product(text: string): number {
    const [first = '', ...rest] = text.split(/ *([*/]) */);
    const value = (word = '') => Number.parseInt(this.#constant(word) ?? word, 10);
    let result = value(first);
    for (let i = 0; i < rest.length; i += 2) {
      result = rest[i] === '*' ? result * value(rest[i + 1]) : Math.floor(result / value(rest[i + 1]));
    }
    return result;
  }

  /** `f16/f32 128/64 items 4`: types of x and of parameters, workgroup / lanes, and what else is in the text. */
  variant(): string {
    const [x, w] = [this.#aliases.get('X'), this.#aliases.get('W')];
    const words = [x && w && x !== w ? `${x}/${w}` : (x ?? w ?? '')];
    const [workgroup, lanes, items] = ['WORKGROUP', 'LANES', 'ITEMS'].map((name) => this.#constant(name));
    if (workgroup) words.push(lanes ? `${workgroup}/${lanes}` : workgroup);
    if (items) words.push(`items ${items}`);
    for (const [name, mark] of marks) if (mark.test(this.#wgsl)) words.push(name);
    return words.filter(Boolean).join(' ');
  }
}

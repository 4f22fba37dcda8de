// The results as a table, a chart, Markdown and JSON.
import type { RowResult } from '../../../bench/measure.ts';
import type { BenchFacts } from '../../../bench/page.ts';
import type { PeerResult } from '../../../bench/peer-team.ts';
import type { TunedPass } from '../../../bench/tune.ts';
import { Chart } from '../../shared/chart.ts';
import { markdownTable } from '../../shared/copy.ts';
import { get } from '../../shared/dom.ts';
import { duration, error as errorText, short } from '../../shared/format.ts';

const header = ['#', 'Row', 'Time', 'GB/s', 'Of copy', 'Error', 'Schedule'];

const percent = (fraction: number): string => `${Math.round(100 * fraction)} %`;
const timeOf = ({ ms, spread }: { ms: number; spread: [number, number] }): string =>
  `${duration(ms)} (${duration(spread[0])}–${duration(spread[1])})`;
const peerCell = (peer: PeerResult, wallMs: number): string =>
  peer.ms && peer.spread
    ? `${timeOf({ ms: peer.ms, spread: peer.spread })}, ×${short(peer.ms / wallMs)}`
    : (peer.why ?? '');

function cellsOf(row: RowResult, index: number, peers: readonly string[]): string[] {
  return [
    String(index + 1),
    row.name,
    timeOf(row),
    short(row.gbps),
    percent(row.copyFraction),
    errorText(row.relError),
    row.strategy,
    ...peers.map((name) => {
      const peer = row.peerDetails[name];
      return peer ? peerCell(peer, row.wallMs) : '–';
    }),
  ];
}

/** The row and pass, the default's time, the choice and its time, and what to make of them. */
function tunedCells(row: string, tuned: TunedPass, problem: string | undefined): string[] {
  const { pass, chosen, trustworthy, known, defaultMs, chosenMs } = tuned;
  const name = chosen ? Object.values(chosen).join(' ') : 'default';
  const gain = defaultMs && chosenMs ? defaultMs / chosenMs : 1;
  const said = known
    ? 'remembered'
    : !trustworthy
      ? 'noise: the default stays'
      : chosen
        ? `×${short(gain)}`
        : 'none faster';
  return [
    row.includes('+') ? `${row} (${pass})` : row,
    defaultMs === null ? '–' : duration(defaultMs),
    name,
    chosenMs === null ? '–' : duration(chosenMs),
    [said, tuned.problem ?? problem].filter(Boolean).join('; '),
  ];
}

export class View {
  facts: BenchFacts | undefined;
  readonly #results: RowResult[] = [];
  readonly #chart = new Chart(get('copy-chart'), {
    x: 'row',
    y: '% of copy',
    height: 190,
    shape: 'bars',
    range: (_, high) => [0, Math.max(100, high)],
    lines: [{ label: 'share', colour: '--accent' }],
  });

  constructor() {
    this.#draw();
  }

  get length(): number {
    return this.#results.length;
  }

  clear(): void {
    this.#results.length = 0;
    this.#draw();
  }

  add(result: RowResult): void {
    this.#results.push(result);
    this.#draw();
  }

  clearTuned(): void {
    const table = get<HTMLTableElement>('tuned');
    table.tBodies[0]?.replaceChildren();
    table.hidden = true;
    get('tuned-panel').hidden = true;
  }

  addTuned(row: string, passes: readonly TunedPass[], problem: string | undefined): void {
    const table = get<HTMLTableElement>('tuned');
    for (const tuned of passes) {
      const line = table.tBodies[0]?.insertRow();
      for (const text of tunedCells(row, tuned, problem)) if (line) line.insertCell().textContent = text;
    }
    table.hidden = false;
    get('tuned-panel').hidden = false;
  }

  repaint(): void {
    this.#chart.repaint();
  }

  markdown(): string {
    const peers = this.facts?.peers ?? [];
    const rows = this.#results.map((row, i) => cellsOf(row, i, peers));
    return `${this.#stamp()}\n\n${markdownTable([...header, ...peers], rows)}\n`;
  }

  json(): string {
    const { adapter, software, f16, method } = this.facts ?? {};
    const at = new Date().toISOString();
    const { userAgent } = navigator;
    return JSON.stringify({ adapter, software, f16, method, userAgent, at, rows: this.#results }, null, 2);
  }

  #stamp(): string {
    const { adapter, method } = this.facts ?? {};
    return `webgpu-norm on ${adapter}, ${navigator.userAgent}, ${new Date().toISOString()}. Times by ${method}.`;
  }

  #draw(): void {
    const peers = this.facts?.peers ?? [];
    const table = get<HTMLTableElement>('results');
    const headings = [...header, ...peers].map((text) => {
      const cell = document.createElement('th');
      cell.scope = 'col';
      cell.textContent = text;
      return cell;
    });
    const top = document.createElement('tr');
    top.append(...headings);
    table.tHead?.replaceChildren(top);
    table.tBodies[0]?.replaceChildren(
      ...this.#results.map((result, i) => {
        const row = document.createElement('tr');
        for (const text of cellsOf(result, i, peers)) row.insertCell().textContent = text;
        return row;
      }),
    );
    this.#chart.show([
      this.#results.map((_, i) => i + 1),
      this.#results.map(({ copyFraction }) => 100 * copyFraction),
    ]);
    for (const id of ['copy-markdown', 'copy-json']) {
      get<HTMLButtonElement>(id).disabled = this.#results.length === 0;
    }
  }
}

// The replicas as a table, the networks as a table and curves.
import { Chart, type ChartOptions, type Line } from '../../shared/chart.ts';
import { get, write } from '../../shared/dom.ts';
import { count, error as errorText, short } from '../../shared/format.ts';
import type { Standing } from './messages.ts';
import type { Member } from './replicas.ts';
import { type Kind, kindNames, kinds } from './settings.ts';

const dashes: Record<Kind, number[]> = { batch: [], sync: [9, 4], whole: [2, 4] };
const lines: Line[] = kinds.map((kind) => ({
  label: kindNames[kind],
  colour: `--${kind}`,
  dash: dashes[kind],
}));

const mostPoints = 1000;

function curve(id: string, y: string, more: Partial<ChartOptions> = {}): Chart {
  return new Chart(get(id), { x: 'step', y, height: 170, lines, ...more });
}

const stateText = ({ state, failure }: Member): string => (state === 'failed' ? failure : state);

export class View {
  #points: { step: number; standings: Standing[] }[] = [];
  readonly #loss = curve('sync-loss-chart', 'cross-entropy');
  readonly #accuracy = curve('sync-accuracy-chart', '%', { range: () => [0, 100] });
  readonly #mean = curve('sync-mean-chart', 'mean', { height: 140 });
  readonly #variance = curve('sync-variance-chart', 'variance', { height: 140 });
  readonly #kill: (rank: number) => void;

  constructor(kill: (rank: number) => void) {
    this.#kill = kill;
  }

  clear(): void {
    this.#points = [];
    get('sync-standings').replaceChildren();
    for (const chart of this.#charts) chart.show([[], ...kinds.map(() => [])]);
    write('sync-steps', '0 steps');
  }

  show(step: number, standings: Standing[]): void {
    if (this.#points.at(-1)?.step === step) this.#points.pop();
    this.#points.push({ step, standings });
    if (this.#points.length > mostPoints) this.#points = this.#points.filter((_, i) => i % 2 === 0);
    write('sync-steps', step === 1 ? '1 step' : `${count(step)} steps`);
    this.#showStandings(standings);
    const curves = (value: (standing: Standing) => number) => [
      this.#points.map((point) => point.step),
      ...kinds.map((kind) =>
        this.#points.map((point) => {
          const standing = point.standings.find((one) => one.kind === kind);
          return standing && Number.isFinite(standing.loss) ? value(standing) : null;
        }),
      ),
    ];
    this.#loss.show(curves(({ loss }) => loss));
    this.#accuracy.show(curves(({ accuracy }) => 100 * accuracy));
    this.#mean.show(curves(({ mean }) => mean));
    this.#variance.show(curves(({ variance }) => variance));
  }

  showMembers(members: readonly Member[]): void {
    const replicas = members.filter(({ rank }) => rank !== undefined);
    const body = get<HTMLTableSectionElement>('replica-rows');
    while (body.rows.length > replicas.length) body.deleteRow(-1);
    replicas.forEach((member, i) => {
      const row = body.rows[i] ?? this.#addRow(body, i);
      const over = member.state === 'killed' || member.state === 'failed';
      const [, state, sent] = row.cells;
      if (state) state.textContent = stateText(member);
      state?.classList.toggle('bad', over);
      if (sent) sent.textContent = `${short((member.last?.bytesSent ?? 0) / 1e6)} MB`;
      const button = row.querySelector('button');
      if (button) button.disabled = over;
    });
  }

  repaint(): void {
    for (const chart of this.#charts) chart.repaint();
  }

  get #charts(): Chart[] {
    return [this.#loss, this.#accuracy, this.#mean, this.#variance];
  }

  #addRow(body: HTMLTableSectionElement, rank: number): HTMLTableRowElement {
    const row = body.insertRow();
    row.insertCell().textContent = String(rank);
    row.insertCell();
    row.insertCell();
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = 'Kill';
    button.ariaLabel = `Kill replica ${rank}`;
    button.addEventListener('click', () => this.#kill(rank));
    row.insertCell().append(button);
    return row;
  }

  #showStandings(standings: readonly Standing[]): void {
    const whole = standings.find(({ kind }) => kind === 'whole');
    get('sync-standings').replaceChildren(
      ...standings.map(({ kind, loss, accuracy, mean, variance, stopped }) => {
        const row = document.createElement('tr');
        row.dataset.kind = kind;
        const name = document.createElement('th');
        name.scope = 'row';
        const swatch = document.createElement('i');
        swatch.style.setProperty('--colour', `var(--${kind})`);
        if (kind !== 'batch') swatch.className = 'dashed';
        name.append(swatch, kindNames[kind]);
        row.append(name);
        if (stopped) {
          const why = row.insertCell();
          why.colSpan = 5;
          why.className = 'bad';
          why.textContent = stopped;
          return row;
        }
        const off = whole && kind !== 'whole' ? errorText(Math.abs(loss - whole.loss)) : '';
        const cells = [
          loss.toFixed(5),
          `${(100 * accuracy).toFixed(1)} %`,
          short(mean),
          short(variance),
          off,
        ];
        for (const text of cells) row.insertCell().textContent = text;
        return row;
      }),
    );
  }
}

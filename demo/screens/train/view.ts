// What the race looks like: a table, curves, histograms.
import { Chart, type Line } from '../../shared/chart.ts';
import { get, write } from '../../shared/dom.ts';
import { count, short } from '../../shared/format.ts';
import type { Report, Standing } from './messages.ts';
import { type Kind, kindNames, kinds, type Settings } from './settings.ts';

/** Solid only once: colour is not the only difference. */
const dashes: Record<Kind, number[]> = {
  none: [2, 3],
  batch: [],
  layer: [9, 4],
  group: [9, 3, 2, 3],
  rms: [5, 3],
};

const lineOf = (kind: Kind): Line => ({ label: kindNames[kind], colour: `--${kind}`, dash: dashes[kind] });

/** Every so many points are thinned out to half, so that a long race stays quick to draw. */
const mostPoints = 1500;

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

export class View {
  #points: Pick<Report, 'step' | 'standings' | 'convergence'>[] = [];
  #norms: readonly Kind[] = [];
  readonly #accuracy = new Chart(get('accuracy-chart'), {
    x: 'step',
    y: '%',
    height: 190,
    range: () => [0, 100],
    lines: [],
  });
  readonly #loss = new Chart(get('loss-chart'), {
    x: 'step',
    y: 'cross-entropy',
    height: 190,
    range: (_, high) => [0, Math.max(2.5, Math.min(high, 6))],
    lines: [],
  });
  readonly #mean = this.#running('mean-chart', 'mean');
  readonly #variance = this.#running('variance-chart', 'variance');
  #layers: { chart: Chart; text: HTMLElement }[] = [];
  #beside: Kind = 'batch';

  /** Empties the charts for those who take part. */
  start(norms: readonly Kind[]): void {
    this.#norms = kinds.filter((kind) => norms.includes(kind));
    this.#points = [];
    for (const chart of [this.#accuracy, this.#loss]) chart.setLines(this.#norms.map(lineOf));
    get('convergence').hidden = !norms.includes('batch');
  }

  show(report: Report, { beside, statistics }: Settings): void {
    const last = this.#points.at(-1);
    // Another look at the same moment.
    if (last?.step === report.step) this.#points.pop();
    const { step, standings, convergence } = report;
    this.#points.push({ step, standings, convergence });
    if (this.#points.length > mostPoints) this.#points = this.#points.filter((_, i) => i % 2 === 0);
    write('steps', report.step === 1 ? '1 step' : `${count(report.step)} steps`);
    write('train-adapter', report.adapter);
    this.#showStandings(report.standings);
    const steps = this.#points.map(({ step }) => step);
    const curves = (value: (standing: Standing) => number) => [
      steps,
      ...this.#norms.map((kind) =>
        this.#points.map(({ standings }) => {
          const standing = standings.find((one) => one.kind === kind);
          return standing && Number.isFinite(standing.loss) ? value(standing) : null;
        }),
      ),
    ];
    this.#accuracy.show(curves(({ accuracy }) => 100 * accuracy));
    this.#loss.show(curves(({ loss }) => loss));
    this.#showLayers(report, beside);
    this.#showConvergence(report, steps, statistics);
  }

  repaint(): void {
    const charts = [this.#accuracy, this.#loss, this.#mean, this.#variance];
    for (const chart of [...charts, ...this.#layers.map(({ chart }) => chart)]) chart.repaint();
  }

  #running(id: string, what: string): Chart {
    return new Chart(get(id), {
      x: 'step',
      y: what,
      height: 150,
      lines: [
        { label: 'running', colour: '--batch' },
        { label: 'now', colour: '--none', dash: [4, 3] },
      ],
    });
  }

  #showStandings(standings: readonly Standing[]): void {
    get('standings').replaceChildren(
      ...standings.map(({ kind, loss, accuracy, stopped }) => {
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
          why.colSpan = 2;
          why.className = 'stopped';
          why.textContent = stopped;
        } else {
          row.insertCell().textContent = Number.isFinite(loss) ? loss.toFixed(4) : 'not finite';
          row.insertCell().textContent = percent(accuracy);
        }
        return row;
      }),
    );
  }

  #showLayers({ layers }: Report, beside: Kind): void {
    if (this.#layers.length !== layers.length || this.#beside !== beside) {
      this.#beside = beside;
      for (const { chart } of this.#layers) chart.destroy();
      get('activations').replaceChildren();
      this.#layers = layers.map((_, i) => {
        const title = document.createElement('h4');
        title.textContent = `Layer ${i + 1}`;
        const host = document.createElement('div');
        host.role = 'img';
        host.ariaLabel = `Histogram of layer ${i + 1}; its numbers are below`;
        const text = document.createElement('p');
        text.className = 'hint layer-text';
        get('activations').append(title, host, text);
        const chart = new Chart(host, {
          x: 'value',
          y: '% per bin',
          height: 120,
          shape: 'steps',
          range: (_, high) => [0, Math.max(high, 1) * 1.05],
          lines: [lineOf('none'), lineOf(beside)],
        });
        return { chart, text };
      });
    }
    layers.forEach(({ edges, none, beside, text }, i) => {
      const absent = Array<null>(edges.length).fill(null);
      this.#layers[i]?.chart.show([edges, none ?? absent, beside ?? absent]);
      this.#layers[i]?.text.replaceChildren(text);
    });
  }

  #showConvergence({ convergence: last }: Report, steps: number[], statistics: Settings['statistics']): void {
    if (!last) return;
    const column = (key: keyof typeof last) =>
      this.#points.map(({ convergence }) => convergence?.[key] ?? null);
    this.#mean.show([steps, column('mean'), column('nowMean')]);
    this.#variance.show([steps, column('variance'), column('nowVariance')]);
    write(
      'convergence-text',
      `Channel 0 of the first BatchNorm: running mean ${short(last.mean)}, now ${short(last.nowMean)}; running variance ` +
        `${short(last.variance)}, now ${short(last.nowVariance)}. They start at 0 and 1, and every step takes a tenth of ` +
        'its batch’s statistics. ' +
        (statistics === 'running'
          ? 'Until they are near, BatchNorm is judged worse than it is: switch to the batch’s to see.'
          : 'Judged with a batch’s own statistics, BatchNorm needs company: what it says of a digit depends on the others.'),
    );
  }
}

// Lines over one axis, in the page's colours.
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';

export interface Line {
  label: string;
  /** A custom property of the style sheet. */
  colour: `--${string}`;
  dash?: number[];
}

export interface ChartOptions {
  /** Names of the axes. */
  x: string;
  y: string;
  height: number;
  lines: readonly Line[];
  /** Steps instead of slopes between points: histograms. Or a bar for each point. Default slopes. */
  shape?: 'steps' | 'bars';
  /** The range of y for the smallest and the largest value. */
  range?: (low: number, high: number) => [number, number];
}

const font = '12px system-ui, sans-serif';
const narrowest = 120;

/** Half a bar beyond the first and the last, which stand at whole numbers. */
const aroundBars = (_: uPlot, low: number, high: number): uPlot.Range.MinMax => [low - 0.5, high + 0.5];

/** A chart for eyes only: say what it shows in the element's label, and its numbers elsewhere. */
export class Chart {
  readonly #host: HTMLElement;
  readonly #options: ChartOptions;
  readonly #observer = new ResizeObserver(() => {
    this.#plot?.setSize({ width: this.#width, height: this.#options.height });
  });
  #lines: readonly Line[] = [];
  #plot: uPlot | undefined;
  #data: uPlot.AlignedData = [[]];

  constructor(host: HTMLElement, options: ChartOptions) {
    this.#host = host;
    this.#options = options;
    this.setLines(options.lines);
    this.#observer.observe(host);
  }

  get #width(): number {
    return Math.max(narrowest, this.#host.clientWidth);
  }

  /** Draws other lines, without points until `show`. */
  setLines(lines: readonly Line[]): void {
    const key = (list: readonly Line[]): string => list.map(({ label }) => label).join();
    if (this.#plot && key(lines) === key(this.#lines)) return;
    this.#lines = lines;
    this.#plot?.destroy();
    this.#data = [[], ...lines.map(() => [])];
    const { height, x, y, shape, range } = this.#options;
    const paths =
      shape === 'steps'
        ? uPlot.paths.stepped?.({ align: 1 })
        : shape === 'bars'
          ? uPlot.paths.bars?.({ size: [0.7, 40] })
          : undefined;
    const yScale: uPlot.Scale = range
      ? { range: (_, low, high) => range(low ?? 0, high ?? 0) as uPlot.Range.MinMax }
      : {};
    this.#plot = new uPlot(
      {
        width: this.#width,
        height,
        legend: { show: false },
        cursor: { show: false },
        scales: { x: { time: false, ...(shape === 'bars' && { range: aroundBars }) }, y: yScale },
        axes: [
          { ...this.#axis(x), size: 34, ...(shape === 'bars' && { incrs: [1, 2, 5, 10] }) },
          { ...this.#axis(y), size: 48 },
        ],
        series: [
          {},
          ...lines.map(({ label, colour, dash }) => ({
            label,
            stroke: this.#css(colour),
            width: 1.5,
            points: { show: false },
            ...(paths && { paths }),
            ...(shape === 'bars' && { fill: this.#css(colour) }),
            ...(dash && { dash }),
          })),
        ],
      },
      this.#data,
      this.#host,
    );
  }

  /** @param columns - x, then the y of each line; null where a line has no point. */
  show(columns: readonly ArrayLike<number | null>[]): void {
    this.#data = columns as unknown as uPlot.AlignedData;
    this.#plot?.setData(this.#data);
  }

  repaint(): void {
    this.#plot?.redraw(false);
  }

  destroy(): void {
    this.#observer.disconnect();
    this.#plot?.destroy();
    this.#plot = undefined;
  }

  #css(name: string): () => string {
    return () => getComputedStyle(this.#host).getPropertyValue(name);
  }

  #axis(label: string): uPlot.Axis {
    return {
      label,
      stroke: this.#css('--muted'),
      grid: { stroke: this.#css('--line'), width: 1 },
      ticks: { stroke: this.#css('--line'), width: 1 },
      font,
      labelFont: font,
      labelSize: 18,
    };
  }
}

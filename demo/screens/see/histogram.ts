// x and y, both samples of each, as four histograms on one axis.
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { short } from '../../shared/format.ts';

const bins = 120;

interface Summary {
  mean: number;
  deviation: number;
}

export interface Histogram {
  show(x: Float32Array, y: Float32Array, shift: number): void;
  repaint(): void;
}

function summary(values: Float32Array): Summary & { low: number; high: number } {
  let [sum, low, high] = [0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number;
    sum += value;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  const mean = sum / values.length;
  let squares = 0;
  for (let i = 0; i < values.length; i++) squares += ((values[i] as number) - mean) ** 2;
  return { mean, deviation: Math.sqrt(squares / values.length), low, high };
}

/**
 * Percent of the values at each bin. A value counts for the two bins whose middles it lies between, the nearer one
 * more: 8-bit pixels would otherwise beat against the bins.
 */
function shares(values: Float32Array, shift: number, low: number, high: number): Float64Array {
  const found = new Float64Array(bins);
  const scale = bins / (high - low);
  const share = 100 / values.length;
  const last = bins - 1;
  for (let i = 0; i < values.length; i++) {
    const place = Math.min(last, Math.max(0, ((values[i] as number) - shift - low) * scale - 0.5));
    if (Number.isNaN(place)) continue;
    const bin = Math.floor(place);
    const next = Math.min(last, bin + 1);
    const part = place - bin;
    found[bin] = (found[bin] as number) + share * (1 - part);
    found[next] = (found[next] as number) + share * part;
  }
  return found;
}

/** As many digits of the mean as the deviation makes worth telling. */
function told({ mean, deviation }: Summary): string {
  if (!(deviation > 0)) return `${short(mean)} ± 0`;
  const decimals = Math.min(9, Math.max(0, 2 - Math.floor(Math.log10(deviation))));
  return `${Number(mean.toFixed(decimals)) + 0} ± ${short(deviation)}`;
}

export function mountHistogram(host: HTMLElement, caption: HTMLElement): Histogram {
  const css = (name: string) => (): string => getComputedStyle(host).getPropertyValue(name);
  const stepped = uPlot.paths.stepped?.({ align: 1 });
  const series = (label: string, colour: string, dash?: number[]): uPlot.Series => ({
    label,
    stroke: css(colour),
    width: 1.5,
    points: { show: false },
    ...(stepped && { paths: stepped }),
    ...(dash && { dash }),
  });
  const axis = (label: string): uPlot.Axis => ({
    label,
    stroke: css('--muted'),
    grid: { stroke: css('--line'), width: 1 },
    ticks: { stroke: css('--line'), width: 1 },
    font: '12px system-ui, sans-serif',
    labelFont: '12px system-ui, sans-serif',
    labelSize: 18,
  });
  const plot = new uPlot(
    {
      width: Math.max(200, host.clientWidth),
      height: 230,
      legend: { show: false },
      cursor: { show: false },
      scales: { x: { time: false }, y: { range: (_, __, high) => [0, Math.max(high, 1) * 1.05] } },
      axes: [
        { ...axis('value'), size: 34 },
        { ...axis('% of the elements, per bin'), size: 44 },
      ],
      series: [
        {},
        series('x, picture', '--before'),
        series('x, copy', '--before', [5, 4]),
        series('y, picture', '--after'),
        series('y, copy', '--after', [5, 4]),
      ],
    },
    [[0], [0], [0], [0], [0]],
    host,
  );
  new ResizeObserver(() => plot.setSize({ width: Math.max(200, host.clientWidth), height: 230 })).observe(
    host,
  );

  return {
    show(x, y, shift) {
      const half = x.length / 2;
      const parts = [x, y].flatMap((values) => [values.subarray(0, half), values.subarray(half)]);
      const [x0, x1, y0, y1] = parts.map(summary) as [
        ReturnType<typeof summary>,
        ReturnType<typeof summary>,
        ReturnType<typeof summary>,
        ReturnType<typeof summary>,
      ];
      const low = Math.min(-4, Math.floor(Math.min(x0.low - shift, x1.low - shift, y0.low, y1.low)));
      const high = Math.max(5, Math.ceil(Math.max(x0.high - shift, x1.high - shift, y0.high, y1.high)));
      const edges = Float64Array.from({ length: bins }, (_, i) => low + (i * (high - low)) / bins);
      plot.setData([
        edges,
        ...parts.map((values, i) => shares(values, i < 2 ? shift : 0, low, high)),
      ] as unknown as uPlot.AlignedData);
      caption.textContent =
        `Mean ± standard deviation. x: picture ${told(x0)}, copy ${told(x1)}. ` +
        `y: picture ${told(y0)}, copy ${told(y1)}.` +
        (shift === 0 ? '' : ` x is drawn less the offset, ${short(shift)}; y is drawn as it is.`);
    },
    repaint: () => plot.redraw(false),
  };
}

// x and y, both samples of each, as four histograms on one axis.
import { edgesOf, shares } from '../../shared/bins.ts';
import { Chart } from '../../shared/chart.ts';
import { short } from '../../shared/format.ts';

const count = 120;

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

/** As many digits of the mean as the deviation makes worth telling. */
function told({ mean, deviation }: Summary): string {
  if (!(deviation > 0)) return `${short(mean)} ± 0`;
  const decimals = Math.min(9, Math.max(0, 2 - Math.floor(Math.log10(deviation))));
  return `${Number(mean.toFixed(decimals)) + 0} ± ${short(deviation)}`;
}

export function mountHistogram(host: HTMLElement, caption: HTMLElement): Histogram {
  const chart = new Chart(host, {
    x: 'value',
    y: '% of the elements, per bin',
    height: 230,
    shape: 'steps',
    range: (_, high) => [0, Math.max(high, 1) * 1.05],
    lines: [
      { label: 'x, picture', colour: '--before' },
      { label: 'x, copy', colour: '--before', dash: [5, 4] },
      { label: 'y, picture', colour: '--after' },
      { label: 'y, copy', colour: '--after', dash: [5, 4] },
    ],
  });

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
      const bins = { low, high, count };
      chart.show([edgesOf(bins), ...parts.map((values, i) => shares(values, bins, i < 2 ? shift : 0))]);
      caption.textContent =
        `Mean ± standard deviation. x: picture ${told(x0)}, copy ${told(x1)}. ` +
        `y: picture ${told(y0)}, copy ${told(y1)}.` +
        (shift === 0 ? '' : ` x is drawn less the offset, ${short(shift)}; y is drawn as it is.`);
    },
    repaint: () => chart.repaint(),
  };
}

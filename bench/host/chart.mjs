// The chart of README: a dot per row and peer.

import { ScatterChart } from 'echarts/charts';
import { GridComponent, LegendComponent, MarkLineComponent, TitleComponent } from 'echarts/components';
import { init, use } from 'echarts/core';
import { SVGRenderer } from 'echarts/renderers';
import { speedUp } from './report.mjs';
import { byKind, kindOf } from './results.mjs';

use([ScatterChart, GridComponent, LegendComponent, MarkLineComponent, TitleComponent, SVGRenderer]);

// Apart for the colour-blind, too (Okabe and Ito); shapes tell them apart in grey.
const colours = ['#0072b2', '#d55e00', '#009e73', '#cc79a7'];
const symbols = ['circle', 'diamond', 'triangle', 'rect'];

/** The run with the most comparisons: one chart shows one run. */
function charted(results) {
  const count = ({ result }) =>
    result.rows.reduce((sum, row) => sum + result.peers.filter((peer) => speedUp(row, peer)).length, 0);
  return [...results].sort((a, b) => count(b) - count(a))[0]?.result;
}

/**
 * How many times as long each peer takes, by kind of row, as an SVG of its own white ground: it reads on dark pages as well.
 *
 * @param {{ name: string, result: any }[]} results
 */
export function chart(results) {
  const result = charted(results);
  const rows = result.rows.filter((row) => row.dtype === 'f32');
  const peers = result.peers.filter((peer) => rows.some((row) => speedUp(row, peer)));
  const compared = rows.filter((row) => peers.some((peer) => speedUp(row, peer)));
  const kinds = [...byKind(compared).keys()];
  const series = peers.map((peer, i) => ({
    type: /** @type {const} */ ('scatter'),
    name: peer,
    symbol: symbols[i],
    symbolSize: 9,
    itemStyle: { color: colours[i], opacity: 0.75 },
    data: compared
      .filter((row) => speedUp(row, peer))
      .map((row) => [Number((speedUp(row, peer) ?? 0).toPrecision(4)), kindOf(row)]),
    // As fast as ours.
    ...(i === 0 && { markLine: equal }),
  }));
  const values = series.flatMap(({ data }) => data.map(([value]) => Number(value)));
  const view = init(null, null, { renderer: 'svg', ssr: true, width: 880, height: 110 + 30 * kinds.length });
  view.setOption({
    animation: false,
    backgroundColor: '#ffffff',
    textStyle: { fontFamily: 'system-ui, sans-serif', color: '#24292f' },
    title: {
      text: heading,
      subtext: `a dot per shape, f32, ${result.adapter}, ${result.version}`,
      left: 16,
      top: 8,
      textStyle: { fontSize: 15, color: '#24292f' },
      subtextStyle: { color: '#57606a' },
    },
    legend: { data: peers, right: 32, top: 12, itemGap: 40, textStyle: { color: '#24292f' } },
    grid: { left: 270, right: 40, top: 64, bottom: 36, outerBoundsMode: 'none' },
    xAxis: {
      type: 'log',
      min: 10 ** Math.floor(Math.log10(Math.min(1, ...values))),
      max: 10 ** Math.ceil(Math.log10(Math.max(...values))),
      axisLabel: { formatter: (value) => `×${value}`, color: '#24292f' },
      splitLine: { lineStyle: { color: '#d0d7de' } },
    },
    yAxis: {
      type: 'category',
      data: kinds,
      inverse: true,
      axisLabel: { color: '#24292f' },
      splitLine: { show: true, lineStyle: { color: '#eaeef2' } },
    },
    series,
  });
  const svg = view.renderToSVGString();
  view.dispose();
  return `${still(svg)}\n`;
}

const heading = 'How many times as long other libraries take';

/** Without the styles of a pointer that hovers, whose names count the charts of a process, and with a title to be read out. */
function still(svg) {
  return svg
    .replace(/<style[\s\S]*?<\/style>\n?/g, '')
    .replace(/ class="[^"]*"/g, '')
    .replace(/^(<svg [^>]*)>/, `$1 role="img" aria-label="${heading}">\n<title>${heading}</title>`);
}

const equal = {
  silent: true,
  symbol: 'none',
  lineStyle: { color: '#24292f', type: /** @type {const} */ ('dashed') },
  label: { show: false },
  data: [{ xAxis: 1 }],
};

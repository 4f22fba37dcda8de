// A small N × C × HW cube: the cells that share statistics with the one pointed at light up.
import type { State } from './state.ts';
import { type Cell, channels, isNormalizedBy, samples } from './task.ts';

const positions = 6;
const [width, height] = [20, 13];
const [deep, rise] = [9, 7];
const [left, top, gap] = [34, 34, 40];
const slab = positions * width + deep + gap;
const svgNamespace = 'http://www.w3.org/2000/svg';

function element(name: string, attributes: Record<string, string | number>, text?: string): SVGElement {
  const made = document.createElementNS(svgNamespace, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  if (text !== undefined) made.textContent = text;
  return made;
}

/** Mounts the cube. Call the result with every new state. */
export function mountCube(figure: HTMLElement, caption: HTMLElement): (state: State) => void {
  const svg = element('svg', {
    viewBox: `0 0 ${left + samples * slab - gap + 8} ${top + channels * height + 26}`,
    'aria-hidden': 'true',
  });
  const faces: { cell: Cell; face: SVGElement }[] = [];
  let picked: Cell = { n: 0, c: 5, position: 2 };
  let state: State | undefined;

  const addFace = (cell: Cell, points: [number, number][], side: string): void => {
    const face = element('polygon', { points: points.join(' '), class: `cell ${side}` });
    const pick = (): void => {
      picked = cell;
      show();
    };
    face.addEventListener('pointerenter', pick);
    face.addEventListener('pointerdown', pick);
    faces.push({ cell, face });
    svg.append(face);
  };

  for (let n = 0; n < samples; n++) {
    const start = left + n * slab;
    for (let c = 0; c < channels; c++) {
      for (let position = 0; position < positions; position++) {
        const cell = { n, c, position };
        const x = start + position * width;
        const y = top + c * height;
        const [right, bottom] = [x + width, y + height];
        if (c === 0) {
          const back = y - rise;
          addFace(
            cell,
            [
              [x, y],
              [x + deep, back],
              [right + deep, back],
              [right, y],
            ],
            'above',
          );
        }
        if (position === positions - 1) {
          const [far, up] = [right + deep, y - rise];
          addFace(
            cell,
            [
              [right, y],
              [far, up],
              [far, up + height],
              [right, bottom],
            ],
            'beside',
          );
        }
        addFace(
          cell,
          [
            [x, y],
            [right, y],
            [right, bottom],
            [x, bottom],
          ],
          'front',
        );
      }
    }
    const name = n === 0 ? 'n = 0, the picture' : 'n = 1, its copy';
    svg.append(element('text', { x: start, y: top - rise - 9 }, name));
    svg.append(element('text', { x: start, y: top + channels * height + 18 }, 'H·W →'));
  }
  for (const [index, colour] of ['red', 'green', 'blue'].entries()) {
    const y = top + 4 * index * height;
    svg.append(
      element('rect', { x: left - 9, y: y + 1, width: 4, height: 4 * height - 2, class: `swatch ${colour}` }),
      element(
        'text',
        { x: left - 14, y: y + 2 * height + 4, 'text-anchor': 'end' },
        colour.charAt(0).toUpperCase(),
      ),
    );
  }
  svg.append(element('text', { x: left - 14, y: top - 4, 'text-anchor': 'end' }, 'C'));
  figure.append(svg);
  figure.tabIndex = 0;

  const keys: Record<string, (cell: Cell) => Cell> = {
    ArrowLeft: ({ n, c, position }) =>
      position > 0
        ? { n, c, position: position - 1 }
        : { n: Math.max(0, n - 1), c, position: n > 0 ? positions - 1 : 0 },
    ArrowRight: ({ n, c, position }) =>
      position < positions - 1
        ? { n, c, position: position + 1 }
        : { n: Math.min(samples - 1, n + 1), c, position: n < samples - 1 ? 0 : position },
    ArrowUp: (cell) => ({ ...cell, c: Math.max(0, cell.c - 1) }),
    ArrowDown: (cell) => ({ ...cell, c: Math.min(channels - 1, cell.c + 1) }),
  };
  figure.addEventListener('keydown', (event) => {
    const move = keys[event.key];
    if (!move) return;
    event.preventDefault();
    picked = move(picked);
    show();
  });

  function show(): void {
    if (!state) return;
    const { n, c, position } = picked;
    const lit = new Set<string>();
    for (const { cell, face } of faces) {
      const same = isNormalizedBy(state, picked, cell);
      if (same) lit.add(`${cell.n} ${cell.c} ${cell.position}`);
      face.classList.toggle('lit', same);
      face.classList.toggle('picked', cell.n === n && cell.c === c && cell.position === position);
    }
    const here = `The cell at sample ${n}, channel ${c}, position ${position}`;
    const cells = `${lit.size} lit cells of ${samples * channels * positions}`;
    const what = state.norm === 'rms' ? 'one mean square' : 'one mean and one variance';
    caption.textContent =
      state.norm === 'response'
        ? `${here} is divided by what the squares of the ${cells} add up to: its window of channels.`
        : `${here} shares ${what} with the ${cells}.`;
  }

  return (next) => {
    state = next;
    show();
  };
}

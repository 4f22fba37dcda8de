/** The one element with that id. */
export function get<T extends Element = HTMLElement>(id: string): T {
  const element = document.querySelector<T>(`#${id}`);
  if (!element) throw new Error(`The page has no #${id}.`);
  return element;
}

export const canvas = (id: string): HTMLCanvasElement => get<HTMLCanvasElement>(id);
export const input = (id: string): HTMLInputElement => get<HTMLInputElement>(id);

export const write = (id: string, text: string): void => {
  get(id).textContent = text;
};

/** Makes the radio buttons or checkboxes of that name show what is chosen. */
export function choose(form: Element, name: string, values: readonly unknown[]): void {
  for (const box of form.querySelectorAll<HTMLInputElement>(`input[name="${name}"]`)) {
    box.checked = values.some((value) => String(value) === box.value);
  }
}

/** Values of the checked boxes of that name. */
export const chosen = (form: Element, name: string): string[] =>
  [...form.querySelectorAll<HTMLInputElement>(`input[name="${name}"]:checked`)].map(({ value }) => value);

export const frame = (): Promise<unknown> => new Promise((next) => requestAnimationFrame(next));
export const wait = (milliseconds: number): Promise<unknown> =>
  new Promise((next) => setTimeout(next, milliseconds));

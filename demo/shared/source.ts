// The source of a screen, file by file, in a dialog. It is loaded when it is asked for.
import { get } from './dom.ts';

const files = import.meta.glob<string>(
  ['../screens/**/*.{ts,html,css}', '../network/*.{ts,wgsl}', './*.ts', '../main.ts'],
  { query: '?raw', import: 'default' },
);

/** Opens the dialog with the files of a screen, its index first, and those that all screens share. */
export function showSource(screen: string): void {
  const own = `../screens/${screen}/`;
  const paths = Object.keys(files).filter((path) => path.startsWith(own) || !path.startsWith('../screens/'));
  const rank = (path: string): number => (path === `${own}index.ts` ? 0 : path.startsWith(own) ? 1 : 2);
  paths.sort((a, b) => rank(a) - rank(b) || a.localeCompare(b));
  const list = get<HTMLSelectElement>('viewer-file');
  list.replaceChildren(
    ...paths.map(
      (path) => new Option(path.replace(/^\.\.\//, 'demo/').replace(/^\.\//, 'demo/shared/'), path),
    ),
  );
  const show = async (): Promise<void> => {
    const path = list.value;
    const text = (await files[path]?.()) ?? '';
    if (list.value === path) get<HTMLTextAreaElement>('viewer-text').value = text;
  };
  list.onchange = () => void show();
  void show();
  get<HTMLDialogElement>('viewer').showModal();
}

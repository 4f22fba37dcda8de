// The page around its screens: which one is shown, its settings in the URL, and what went wrong.
import { get, write } from './shared/dom.ts';
import type { Screen, ScreenModule, Shell } from './shared/screen.ts';
import { troubleOf } from './shared/screen.ts';
import { fragmentOf } from './shared/settings.ts';

const screens = {
  see: () => import('./screens/see/index.ts'),
  train: () => import('./screens/train/index.ts'),
  sync: () => import('./screens/sync/index.ts'),
  measure: () => import('./screens/measure/index.ts'),
  check: () => import('./screens/check/index.ts'),
} satisfies Record<string, () => Promise<ScreenModule>>;

type Name = keyof typeof screens;

const app = get('app');
const links = [...document.querySelectorAll<HTMLAnchorElement>('nav a')];
let shown: { name: Name; screen: Screen | undefined } | undefined;

const settingsInUrl = (): URLSearchParams => new URLSearchParams(location.hash.slice(1));
const nameIn = (settings: URLSearchParams): Name => {
  const name = settings.get('screen') ?? '';
  return name in screens ? (name as Name) : 'see';
};

function shellOf(name: Name): Shell {
  // A screen that was left may have something under way.
  const mine = <Args extends unknown[]>(act: (...args: Args) => void) => {
    return (...args: Args): void => {
      if (shown?.name === name) act(...args);
    };
  };
  return {
    remember: mine((settings) => {
      const fragment = fragmentOf(name, settings);
      if (location.hash !== fragment) history.replaceState(null, '', fragment);
      // The way back to this screen leads to the same settings.
      for (const link of links) if (link.dataset.screen === name) link.hash = fragment;
    }),
    busy: mine((value) => app.setAttribute('aria-busy', String(value))),
    say: mine((text) => write('status', text)),
    fail: mine(fail),
    clear: mine(() => {
      get('problem').hidden = true;
    }),
  };
}

function fail(error: unknown, again?: () => void): void {
  const { code, message } = troubleOf(error);
  if (code === 'no-webgpu') {
    showMissing(message);
    return;
  }
  write('problem-text', message);
  const restart = get<HTMLButtonElement>('restart');
  restart.hidden = !again;
  restart.onclick = again ?? null;
  get('problem').hidden = false;
}

function showMissing(message: string): void {
  write(
    'missing-reason',
    navigator.gpu
      ? message
      : isSecureContext
        ? 'The page computes with WebGPU, and there is no navigator.gpu here.'
        : 'Browsers give WebGPU to secure pages only: open this one over https, or on localhost.',
  );
  get('missing').hidden = false;
  app.hidden = true;
}

async function enter(): Promise<void> {
  const name = nameIn(settingsInUrl());
  if (shown?.name === name) {
    shown.screen?.read(settingsInUrl());
    return;
  }
  const first = !shown;
  shown?.screen?.leave();
  const entered = { name, screen: undefined as Screen | undefined };
  shown = entered;
  get('problem').hidden = true;
  get('screen').replaceChildren();
  app.setAttribute('aria-busy', 'true');
  write('status', '');
  for (const link of links) {
    if (link.dataset.screen === name) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  try {
    const { title, about, mount }: ScreenModule = await screens[name]();
    if (shown !== entered) return;
    document.title = `${title}: webgpu-norm`;
    write('title', title);
    write('about', about);
    if (!first) get('title').focus();
    entered.screen = mount(get('screen'), settingsInUrl(), shellOf(name));
    // Tables that are wider than a phone are scrolled by keys too.
    for (const area of document.querySelectorAll<HTMLElement>('.scroll')) area.tabIndex = 0;
  } catch (error) {
    if (shown !== entered) return;
    shown = undefined;
    fail(error, () => void enter());
  }
}

get('source').addEventListener('click', () => {
  void import('./shared/source.ts').then(({ showSource }) => showSource(shown?.name ?? 'see'));
});
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => shown?.screen?.repaint());
addEventListener('hashchange', () => void enter());
if (navigator.gpu) void enter();
else showMissing('');

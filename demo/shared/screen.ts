// What the page and its screens know of each other.

/** An error as it travels between threads. */
export interface Trouble {
  /** A NormError's, if it was one. */
  code?: string | undefined;
  message: string;
}

export interface Shell {
  /** Puts the screen's settings into the URL. */
  remember(settings: object): void;
  /** Whether what the page shows may belong to other settings than the chosen ones. */
  busy(value: boolean): void;
  /** Says to screen readers what has come of it. */
  say(text: string): void;
  /** Shows what went wrong, and offers to start again where there is a way. */
  fail(error: unknown, again?: () => void): void;
  /** Takes what went wrong off the page. */
  clear(): void;
}

export interface Screen {
  /** Other settings came by the URL. */
  read(settings: URLSearchParams): void;
  /** The colour scheme changed. */
  repaint(): void;
  /** Another screen comes: stops and frees everything. */
  leave(): void;
}

/** What the module of a screen exports. */
export interface ScreenModule {
  title: string;
  /** Two sentences. */
  about: string;
  mount(host: HTMLElement, settings: URLSearchParams, shell: Shell): Screen;
}

/** What an error says, whether it was thrown here or has travelled. */
export const troubleOf = (error: unknown): Trouble => {
  const { code, message } = error as Partial<Trouble>;
  return { code, message: message ?? String(error) };
};

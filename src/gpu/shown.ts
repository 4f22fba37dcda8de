/** Longer texts are cut in messages. */
const most = 80;

/** A value as a message shows it, whatever it is: template strings throw for symbols, and for objects without a toString. */
export function shown(value: unknown): string {
  if (typeof value === 'bigint') return `${value}n`;
  let text: string;
  try {
    text = Array.isArray(value) ? `[${value}]` : String(value);
  } catch {
    text = Object.prototype.toString.call(value);
  }
  return text.length > most ? `${text.slice(0, most)}…` : text;
}

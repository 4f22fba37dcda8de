/**
 * One line on a terminal that tells how far a run is; nothing where output goes to a file or a pipe.
 *
 * @param {number} total
 * @param {NodeJS.WriteStream} [stream]
 */
export function progress(total, stream = process.stderr) {
  const began = performance.now();
  const clear = () => {
    if (stream.isTTY) stream.write('\r\x1b[K');
  };
  return {
    clear,
    /** @param {number} done how many are behind it @param {string} name what is under way */
    show(done, name) {
      if (!stream.isTTY) return;
      const width = 24;
      const filled = Math.round((width * done) / total);
      const left = done > 0 ? ((performance.now() - began) / done) * (total - done) : 0;
      const rest = done > 0 ? `, ${minutes(left)} left` : '';
      const text = `${'█'.repeat(filled)}${'░'.repeat(width - filled)} ${done}/${total}${rest}  ${name}`;
      clear();
      stream.write(text.slice(0, (stream.columns ?? 80) - 1));
    },
  };
}

const minutes = (/** @type {number} */ ms) =>
  ms < 90_000 ? `${Math.round(ms / 1000)} s` : `${Math.round(ms / 60_000)} min`;

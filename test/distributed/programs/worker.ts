/** A rank in a Web Worker. */
import { init } from '../../../src/index.ts';
import { joinPorts, type Orders, obedient, type Said } from './rank.ts';

const say = (said: Said) => postMessage(said);
const obey = obedient(await init(), joinPorts, say, () => 0);
addEventListener('message', ({ data }: MessageEvent<Orders>) => {
  obey(data).catch((error) => reportError(error));
});
say({ kind: 'ready' });

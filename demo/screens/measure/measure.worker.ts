// The bench, off the page's own thread.
import { bench } from '../../../bench/page.ts';
import { NormError } from '../../../src/index.ts';
import { answerWith } from '../../shared/asked.ts';
import type { Answer, News, Question } from './messages.ts';

/** Shorter samples than those of `npm run bench`: somebody waits. */
const sampleMs = 60;
const maxRepeats = 5000;

answerWith<Question, Answer, News>(async (question, { signal, tell }) => {
  switch (question.type) {
    case 'start': {
      if (!navigator.gpu) throw new NormError('no-webgpu', 'Workers have no WebGPU in this browser.', '');
      const peers = question.peers && (await import('./peers.ts')).peerSources;
      return { type: 'facts', facts: await bench.start({ gpu: navigator.gpu, peers, sampleMs }) };
    }
    case 'measure': {
      const { row, rounds, peers } = question;
      return { type: 'result', result: await bench.run(row, { rounds, sampleMs, maxRepeats, peers }) };
    }
    case 'tune': {
      const { row, rounds, entries } = question;
      const items = new Map(entries);
      const storage = {
        getItem: (key: string) => items.get(key) ?? null,
        setItem: (key: string, value: string) => void items.set(key, value),
      };
      try {
        const passes = await bench.tune(row, { rounds, signal, onProgress: tell, storage });
        return { type: 'tuned', passes, entries: [...items] };
      } catch (error) {
        if (!signal.aborted) throw error;
        return { type: 'tuned', passes: null, entries: [...items] };
      }
    }
  }
});

// The workers of one start: replicas that share a hub, and the one with the big batch.
import { MessagePortHub } from '../../../src/distributed/index.ts';
import { Asked } from '../../shared/asked.ts';
import type { Answer, Question, Report, Standing } from './messages.ts';
import type { Settings } from './settings.ts';

export interface Member {
  /** undefined: the big batch. */
  rank: number | undefined;
  asked: Asked<Question, Answer>;
  state: 'starting' | 'ready' | 'training' | 'killed' | 'failed';
  failure: string;
  last: Report | undefined;
}

function memberOf(rank: number | undefined): Member {
  const worker = new Worker(new URL('./replica.worker.ts', import.meta.url), { type: 'module' });
  return { rank, asked: new Asked(worker), state: 'starting', failure: '', last: undefined };
}

export class Replicas {
  readonly members: Member[];
  adapter = '';
  readonly #settings: Settings;
  readonly #hub = new MessagePortHub();
  readonly #changed: () => void;

  /** @param changed - called whenever a member's state is another. */
  constructor(settings: Settings, changed: () => void) {
    this.#settings = settings;
    this.#changed = changed;
    this.members = [
      ...Array.from({ length: settings.replicas }, (_, rank) => memberOf(rank)),
      memberOf(undefined),
    ];
  }

  /** All have a device before any waits for another. */
  async start(): Promise<void> {
    const settings = this.#settings;
    for (const answer of await this.#askAll(() => [{ type: 'start', settings }])) {
      if (answer?.type === 'ready') this.adapter = answer.adapter;
    }
    await this.#askAll(({ rank }) => {
      if (rank === undefined) return [{ type: 'whole' }];
      const port = this.#hub.connect();
      return [{ type: 'join', rank, port }, [port]];
    });
  }

  /** Steps of everybody that can. */
  async advance(steps: number): Promise<void> {
    await this.#askAll(() => [{ type: 'advance', steps }]);
  }

  /** The replicas' networks as rank 0 has them, or the lowest that is left; and the big batch's. */
  standings(): Standing[] {
    const from = (members: Member[]): Standing[] =>
      members.find(({ last, state }) => last && state !== 'killed')?.last?.standings ?? [];
    return [
      ...from(this.members.filter(({ rank }) => rank !== undefined)),
      ...from(this.members.filter(({ rank }) => rank === undefined)),
    ];
  }

  get steps(): number {
    return Math.max(0, ...this.members.map(({ last }) => last?.step ?? 0));
  }

  kill(rank: number): void {
    const member = this.members.find((one) => one.rank === rank);
    if (!member) return;
    member.state = 'killed';
    member.asked.end();
    this.#changed();
  }

  end(): void {
    for (const { asked } of this.members) asked.end();
    this.#hub.close();
  }

  async #askAll(question: (member: Member) => [Question, Transferable[]?]): Promise<(Answer | undefined)[]> {
    return Promise.all(
      this.members.map(async (member) => {
        if (member.state === 'killed' || member.state === 'failed') return undefined;
        member.state = member.last ? 'training' : 'starting';
        this.#changed();
        try {
          const answer = await member.asked.ask(...question(member));
          if (answer.type === 'report') {
            member.last = answer;
            member.failure = answer.failure ?? '';
            member.state = answer.failure ? 'failed' : 'ready';
          }
          return answer;
        } catch (error) {
          // To be killed is not an error; and TypeScript cannot know that it happened meanwhile.
          if ((member.state as Member['state']) === 'killed') return undefined;
          throw error;
        } finally {
          this.#changed();
        }
      }),
    );
  }
}

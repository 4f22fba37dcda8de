import { spawn } from 'node:child_process';
import { tmpdir } from 'node:os';
import { type Engine, vulkanEnvironment } from '../../scripts/lib/vulkan.mjs';

export interface Ended {
  status: number | null;
  stdout: string;
  stderr: string;
}

/** Runs a program to its end, with the drivers of an engine. */
export function run(
  command: string,
  args: readonly string[],
  { cwd, engine, env = {} }: { cwd: string; engine?: Engine; env?: Record<string, string> },
): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd,
      env: {
        XDG_RUNTIME_DIR: tmpdir(),
        NO_COLOR: '1',
        ...process.env,
        ...(engine ? vulkanEnvironment(engine) : {}),
        ...env,
      },
    });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text) => {
      stderr += text;
    });
    child.on('error', reject);
    child.on('close', (status) => resolve({ status, stdout, stderr }));
  });
}

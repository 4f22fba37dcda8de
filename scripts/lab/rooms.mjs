// Where the compilers are: a small Debian in a folder of its own per release, with Mesa's drivers and what stands for their GPUs. Made
// once and kept in the user's cache, which all checkouts share.
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { osRelease } from '../lib/browsers.mjs';
import { root } from '../lib/paths.mjs';
import { run } from '../lib/run.mjs';

const cacheHome = process.env.XDG_CACHE_HOME || join(homedir(), '.cache');
export const labCache = join(cacheHome, 'webgpu-norm', 'lab');

const drivers = ['mesa-vulkan-drivers', 'mesa-drm-shim', 'libvulkan1', 'libatomic1', 'libstdc++6'];
const compiler = ['gcc', 'libc6-dev', 'libvulkan-dev'];

/** By room: the release, and its packages. Numbers from a stable release stay the same; the stable one has no driver for
 * Apple's chips, no stand-in for Qualcomm's, and a driver for NVIDIA's that does not tell spills. */
const rooms = {
  stable: { suite: 'trixie', packages: [...drivers, ...compiler] },
  sid: { suite: 'sid', packages: drivers },
};

/** Mirrors may be behind, and what is installed here is never served to anybody. */
const lax = 'Acquire::Check-Valid-Until "false"';

/** @param {keyof typeof rooms} name */
export const roomOf = (name) => join(labCache, rooms[name].suite);

/** Throws, with what to do, where no room can be made. */
export function checkMachine() {
  const why = (reason) => new Error(`No compiler lab on this machine: ${reason}`);
  if (process.platform !== 'linux') throw why('it takes Linux.');
  if (process.getuid?.() !== 0) {
    throw why('a chroot takes root. Start it as root, for example in a container.');
  }
  if (spawnSync('mmdebstrap', ['--version']).status !== 0) {
    throw why('there is no mmdebstrap. On Debian or Ubuntu: apt-get install mmdebstrap');
  }
  if (spawnSync('unshare', ['--mount', 'true']).status !== 0) {
    throw why('mounting is not allowed here. A container has to be privileged.');
  }
}

/**
 * Makes a room if there is none, and in it what the target needs. The layer is compiled in the stable one, whose libc is the older.
 *
 * @param {import('./targets.mjs').Target} target
 */
export async function ensureRoom(target) {
  await ensureBase('stable');
  if (target.room !== 'stable') await ensureBase(target.room);
  await ensureLayer();
  if (target.isa === 'intel') await ensureIntelShim();
}

/** @param {keyof typeof rooms} name */
async function ensureBase(name) {
  const room = roomOf(name);
  if (existsSync(room)) return;
  const { suite, packages } = rooms[name];
  console.log(`Making a Debian ${suite} with Mesa in ${room}: a minute or two.`);
  mkdirSync(labCache, { recursive: true });
  // Under another name until it is complete: another checkout may be making it, too.
  const unfinished = `${room}.${process.pid}`;
  process.once('exit', () => rmSync(unfinished, { recursive: true, force: true }));
  const mirror = debianMirror();
  const status = await run(
    'mmdebstrap',
    [
      '--quiet',
      '--mode=root',
      '--variant=apt',
      `--include=${packages.join()}`,
      '--aptopt=APT::Sandbox::User "root"',
      `--aptopt=${lax}`,
      suite,
      unfinished,
      ...(mirror ? [mirror] : []),
    ],
    { quiet: 12 },
  );
  if (status !== 0) throw new Error(`mmdebstrap could not make a Debian ${suite} (exit ${status}).`);
  for (const folder of ['opt', 'lab']) mkdirSync(join(unfinished, folder), { recursive: true });
  writeFileSync(join(unfinished, 'opt', 'node'), ''); // the machine's own is mounted there
  keep(unfinished, room);
}

/** Gives what is complete its name, unless somebody was faster. @param {string} unfinished @param {string} path */
function keep(unfinished, path) {
  if (existsSync(path)) rmSync(unfinished, { recursive: true });
  else renameSync(unfinished, path);
}

/** The first mirror of the machine, where that is a Debian too; else the one that mmdebstrap knows. */
function debianMirror() {
  if (osRelease().ID !== 'debian') return undefined;
  const folder = '/etc/apt/sources.list.d';
  const files = existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : [];
  for (const file of ['/etc/apt/sources.list', ...files]) {
    if (!existsSync(file)) continue;
    const found = /^(?:URIs:|deb(?: \[[^\]]*\])?)\s+(\S+\/debian)\/?(?:\s|$)/m.exec(
      readFileSync(file, 'utf8'),
    );
    if (found) return found[1];
  }
  return undefined;
}

export const layerFolder = join(labCache, 'layer');

async function ensureLayer() {
  const source = join(root, 'scripts', 'lab', 'lab_layer.c');
  const kept = join(layerFolder, 'lab_layer.c');
  if (existsSync(kept) && readFileSync(kept, 'utf8') === readFileSync(source, 'utf8')) return;
  const unfinished = `${layerFolder}.${process.pid}`;
  process.once('exit', () => rmSync(unfinished, { recursive: true, force: true }));
  mkdirSync(unfinished, { recursive: true });
  copyFileSync(source, join(unfinished, 'lab_layer.c'));
  const manifest = {
    file_format_version: '1.2.0',
    layer: {
      name: 'VK_LAYER_LAB_compiled',
      type: 'GLOBAL',
      library_path: './liblab_layer.so',
      api_version: '1.3.239',
      implementation_version: '1',
      description: 'What drivers say of compute pipelines',
    },
  };
  writeFileSync(join(unfinished, 'lab_layer.json'), JSON.stringify(manifest));
  const command = 'cd /lab && gcc -O1 -Wall -Werror -fPIC -shared -o liblab_layer.so lab_layer.c';
  const status = await inRoom('stable', { '/lab': unfinished }, ['/bin/sh', '-c', command]);
  if (status !== 0) throw new Error('The Vulkan layer scripts/lab/lab_layer.c does not compile.');
  rmSync(layerFolder, { recursive: true, force: true });
  keep(unfinished, layerFolder);
}

/** Debian packages no stand-in for Intel's GPUs: it is made from Debian's source of Mesa. */
async function ensureIntelShim() {
  const room = roomOf('stable');
  const folder = join(room, 'usr', 'lib', 'intel-shim');
  if (existsSync(folder)) return;
  console.log("Building the stand-in for Intel's GPUs from Debian's source of Mesa: some 4 minutes.");
  // How this machine reaches its package mirrors.
  for (const file of ['/etc/resolv.conf', '/etc/hosts']) {
    if (existsSync(file)) copyFileSync(file, join(room, file));
  }
  const lists = join(room, 'etc', 'apt', 'sources.list');
  const sources = readFileSync(lists, 'utf8').replaceAll(/^deb /gm, 'deb-src ');
  writeFileSync(join(room, 'etc', 'apt', 'sources.list.d', 'sources.list'), sources);
  const status = await inRoom(
    'stable',
    { '/lab': join(root, 'scripts', 'lab') },
    ['/bin/sh', '/lab/intel-shim.sh'],
    {
      PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
      HOME: '/root',
      DEBIAN_FRONTEND: 'noninteractive',
    },
  );
  if (status !== 0) throw new Error(`The stand-in for Intel's GPUs could not be built (exit ${status}).`);
}

/**
 * Runs a command in a room. What is mounted for it is mounted in a namespace of its own, so that it goes with the command however that
 * ends.
 *
 * @param {keyof typeof rooms} name
 * @param {Record<string, string>} folders of the machine, by where they appear in the room
 * @param {string[]} command
 * @param {Record<string, string>} [env]
 * @returns {Promise<number>} the exit status
 */
export function inRoom(name, folders, command, env = { PATH: '/usr/bin:/bin' }) {
  const room = roomOf(name);
  const script = `
    set -e
    room=$1; shift
    mount -t proc proc "$room/proc"
    mount --bind "$1" "$room/opt/node"; shift
    while [ "$1" != -- ]; do mkdir -p "$room$2"; mount --bind "$1" "$room$2"; shift 2; done
    shift
    exec chroot "$room" /usr/bin/env -i "$@"`;
  const binds = Object.entries(folders).flatMap(([inside, outside]) => [outside, inside]);
  const settings = Object.entries(env).map(([key, value]) => `${key}=${value}`);
  // With this process its commands end, too.
  const namespace = [
    '--pdeathsig',
    'KILL',
    'unshare',
    '--mount',
    '--propagation',
    'private',
    '--pid',
    '--fork',
    '--kill-child',
  ];
  return run(
    'setpriv',
    [
      ...namespace,
      '/bin/sh',
      '-c',
      script,
      'room',
      room,
      process.execPath,
      ...binds,
      '--',
      ...settings,
      ...command,
    ],
    { quiet: 12, timeout: 1_800_000 },
  );
}

/** The library that stands for a GPU, as a path in its room. @param {import('./targets.mjs').Target} target */
export function shimOf({ room, shim }) {
  const libraries = join(roomOf(room), 'usr', 'lib');
  for (const folder of readdirSync(libraries)) {
    if (existsSync(join(libraries, folder, shim))) return `/usr/lib/${folder}/${shim}`;
  }
  throw new Error(`${roomOf(room)} has no ${shim}. Delete it, and it is made anew.`);
}

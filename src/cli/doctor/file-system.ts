/** The file system of a store: what kind it is, and how much is left of it. */
import { readFileSync, realpathSync, statfsSync } from 'node:fs';
import { formatBytes } from '../record-format.js';
import type { Finding } from './finding.js';

interface Kind {
  readonly name: string;
  readonly verdict: Finding['verdict'];
  readonly hint?: string;
}

const NETWORK =
  'Locks and syncs over a network do what the server does; two machines may both get in. Keep stores on a local disk.';

/** By the number that statfs(2) gives on Linux. */
const KINDS: ReadonlyMap<number, Kind> = new Map<number, Kind>([
  [0xef53, { name: 'ext4', verdict: 'ok' }],
  [0x58465342, { name: 'xfs', verdict: 'ok' }],
  [0x9123683e, { name: 'btrfs', verdict: 'ok' }],
  [0x2fc12fc1, { name: 'zfs', verdict: 'ok' }],
  [0xf2f52010, { name: 'f2fs', verdict: 'ok' }],
  [0xca451a4e, { name: 'bcachefs', verdict: 'ok' }],
  [
    0x01021994,
    {
      name: 'tmpfs',
      verdict: 'fails',
      hint: 'It is in memory: all of it is gone when the machine restarts. Keep stores on a disk.',
    },
  ],
  [
    0x858458f6,
    {
      name: 'ramfs',
      verdict: 'fails',
      hint: 'It is in memory: all of it is gone when the machine restarts. Keep stores on a disk.',
    },
  ],
  [
    0x794c7630,
    {
      name: 'overlay',
      verdict: 'warns',
      hint: 'It is the layer of a container: what is in it goes with the container. Mount a volume for the store.',
    },
  ],
  [0x6969, { name: 'NFS', verdict: 'fails', hint: NETWORK }],
  [0xff534d42, { name: 'CIFS', verdict: 'fails', hint: NETWORK }],
  [0xfe534d42, { name: 'SMB', verdict: 'fails', hint: NETWORK }],
  [0x00c36400, { name: 'CephFS', verdict: 'warns', hint: NETWORK }],
  [0x01021997, { name: '9p', verdict: 'warns', hint: 'It is a folder of the host: a sync may not reach a disk.' }],
  [
    0x65735546,
    {
      name: 'FUSE',
      verdict: 'warns',
      hint: 'It does what the program behind it does: try a power cut before you rely on it.',
    },
  ],
  [0x4d44, { name: 'FAT', verdict: 'warns', hint: 'It has no owners, no journal, and files of 4 GiB at most.' }],
]);

export function lookAtFileSystem(dir: string): Finding[] {
  const { type, bavail, bsize, blocks, files, ffree } = statfsSync(dir, { bigint: true });
  const mount = mountOf(realpathSync(dir));
  return [
    kindFinding(Number(type), mount),
    spaceFinding(Number(bavail) * Number(bsize), Number(blocks) * Number(bsize)),
    inodeFinding(Number(ffree), Number(files)),
  ];
}

function kindFinding(type: number, mount: Mount | undefined): Finding {
  const subject = 'file system';
  const at = mount === undefined ? '' : `, mounted at ${mount.point}`;
  if (process.platform !== 'linux')
    return { subject, verdict: 'ok', says: `of type ${type}; which that is is not told here` };
  const kind = KINDS.get(type) ?? { name: `of type 0x${type.toString(16)}, not known to evaq`, verdict: 'ok' };
  const says = `${kind.name}${at}`;
  const lax = mount?.options.find((option) =>
    /^(nobarrier|barrier=0|data=writeback|async_commit|sync=disabled)$/.test(option),
  );
  if (kind.verdict === 'ok' && lax !== undefined) {
    return {
      subject,
      verdict: 'warns',
      says: `${says}, with ${lax}`,
      hint: 'With that option a power cut may take what was synced.',
    };
  }
  return { subject, verdict: kind.verdict, says, ...(kind.hint === undefined ? {} : { hint: kind.hint }) };
}

interface Mount {
  readonly point: string;
  readonly options: readonly string[];
}

/** The mount that a path is on: of those that it lies below the last one of the longest path. */
function mountOf(path: string): Mount | undefined {
  let text: string;
  try {
    text = readFileSync('/proc/self/mounts', 'utf8');
  } catch {
    return undefined;
  }
  let best: Mount | undefined;
  for (const line of text.split('\n')) {
    const [, escaped = '', , options = ''] = line.split(' ');
    const point = escaped.replaceAll(/\\(\d{3})/g, (_all, octal: string) =>
      String.fromCharCode(Number.parseInt(octal, 8)),
    );
    const isAbove = point !== '' && (path === point || path.startsWith(point.endsWith('/') ? point : `${point}/`));
    if (isAbove && point.length >= (best?.point.length ?? 0)) best = { point, options: options.split(',') };
  }
  return best;
}

/** A few segments, and what GC needs to make room. */
const FREE_BYTES_MIN = 256 * 1024 * 1024;
const FREE_SHARE_MIN = 0.02;

export function spaceFinding(free: number, all: number): Finding {
  const subject = 'free space';
  const says = `${formatBytes(free)} of ${formatBytes(all)}`;
  if (free >= FREE_BYTES_MIN && free >= FREE_SHARE_MIN * all) return { subject, verdict: 'ok', says };
  const hint = 'On a full disk pushes are refused; removing goes on. See the option limits.minFreeBytes.';
  return { subject, verdict: free < FREE_BYTES_MIN ? 'fails' : 'warns', says, hint };
}

const INODES_MIN = 1000;

export function inodeFinding(free: number, all: number): Finding {
  const subject = 'free inodes';
  // Some make them as they are needed.
  if (all === 0) return { subject, verdict: 'ok', says: 'no bound' };
  const says = `${free} of ${all}`;
  if (free >= INODES_MIN) return { subject, verdict: 'ok', says };
  return {
    subject,
    verdict: 'fails',
    says,
    hint: 'No file can be made when they are used up, whatever space is left.',
  };
}

/**
 * Where a store may be: in a folder that is its own, or behind a link to one. The root of a volume is never quite empty: what the system keeps there
 * is nobody's data, and does not keep a store from being made beside it.
 */
import { isSystemError } from '../errors.js';
import type { Vfs, VfsEntry } from '../vfs/vfs.js';

/**
 * What file systems, desktops and their services put into the root of a volume, or into any folder. Names only a system gives: a `.git` or a
 * `.env` is somebody's.
 */
const OF_THE_SYSTEM: readonly RegExp[] = [
  // ext2 to ext4: what fsck finds; quotas.
  /^lost\+found$/,
  /^a?quota\.(user|group)$/,
  // Snapshots: NetApp and other NFS servers, FreeBSD, btrfs (snapper), ZFS, Ceph.
  /^\.(snapshots?|snap|zfs)$/,
  /^~snapshot$/,
  // What was deleted while it was open: NFS and FUSE.
  /^\.nfs[0-9a-f]+$/,
  /^\.fuse_hidden[0-9a-f]+$/,
  /^\.glusterfs(-anonymous-inode-[0-9a-f-]+)?$/,
  // The trash of freedesktop.org.
  /^\.Trash(-\d+)?$/,
  /^\.directory$/,
  // macOS.
  /^\.(DS_Store|localized|Trashes|TemporaryItems|fseventsd|Spotlight-V100|DocumentRevisions-V100|PKInstallSandboxManager|PKInstallSandboxManager-SystemSoftware|VolumeIcon\.icns|apdisk|metadata_never_index|com\.apple\..*|HFS\+ Private Directory Data\r?)$/,
  /^\._(\.DS_Store|\.Trashes|\.)$/,
  // Windows.
  /^(System Volume Information|\$RECYCLE\.BIN|RECYCLER|RECYCLED|desktop\.ini|Thumbs\.db)$/i,
];

/** An entry that is neither ours nor anybody's data. */
export function isOfTheSystem(name: string): boolean {
  return OF_THE_SYSTEM.some((pattern) => pattern.test(name));
}

/** What stands at the path of a store. */
export type StorePlace =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'folder'; readonly entries: readonly VfsEntry[] }
  /** A link that leads nowhere. */
  | { readonly kind: 'lost link' }
  | { readonly kind: 'other' };

/** Listing follows links, and `stat` does not. Rejects with the system error. */
export async function lookAtPlace(vfs: Vfs, path: string): Promise<StorePlace> {
  const stat = await vfs.stat(path);
  if (stat === undefined) return { kind: 'nothing' };
  if (stat.kind === 'file') return { kind: 'other' };
  try {
    return { kind: 'folder', entries: await vfs.list(path) };
  } catch (error) {
    if (!isSystemError(error) || !LEADS_NOWHERE.has(error.code)) throw error;
    // A device, say, or a link to a file.
    if (error.code === 'ENOTDIR') return { kind: 'other' };
    if (stat.kind === 'other') return { kind: 'lost link' };
    // It was removed in between.
    return { kind: 'nothing' };
  }
}

const LEADS_NOWHERE: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR', 'ELOOP']);

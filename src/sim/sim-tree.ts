/** Trees of a simulated disk without a process: looking at them, and putting files there. For tests and people. */
import { SimSystemError } from './sim-error.js';
import type { SimImage } from './sim-image.js';

/** One file or folder a line, with what of it is not durable, and then the name operations that are not. */
export function describeTree(image: SimImage): string {
  const lines = [...image.names.paths()].map(([inode, path]) => {
    const file = image.file(inode);
    if (file === undefined) return `${path}/`;
    const dirty = file.unsynced.size === 0 ? '' : `, unsynced sectors: ${[...file.unsynced.keys()].join(' ')}`;
    const size = file.size === file.durableSize ? '' : ` (durable ${file.durableSize})`;
    return `${path}  ${file.size} B${size}${dirty}`;
  });
  const journal = image.names.journal.map(({ text }) => `not durable: ${text}`);
  return [...lines, ...journal].join('\n');
}

/** As `rm -r`: what is open stays, without a name. Nothing of it is durable. */
export function removeTree(image: SimImage, path: string): void {
  const { names } = image;
  const inode = names.lookup(path);
  if (typeof inode === 'string') throw new SimSystemError(inode, 'unlink', path);
  for (const name of names.folders.get(inode)?.visible.keys() ?? []) removeTree(image, `${path}/${name}`);
  names.remove(names.slotOf(path, 'unlink'), inode, image.nextSerial(), path);
  image.unlink(inode);
}

/** Puts a durable file there, or replaces the content of one, with the folders above it. */
export function placeFile(image: SimImage, path: string, bytes: Uint8Array): void {
  const parts = path.split('/').filter((part) => part !== '');
  for (let depth = 1; depth < parts.length; depth++) {
    const folder = `/${parts.slice(0, depth).join('/')}`;
    if (typeof image.names.lookup(folder) !== 'string') continue;
    const inode = image.nextInode();
    image.names.force(image.names.slotOf(folder, 'mkdir'), inode);
    image.names.folders.set(inode, { visible: new Map(), durable: new Map() });
  }
  const before = image.names.lookup(path);
  const inode = typeof before === 'string' ? image.nextInode() : before;
  const file = image.own(inode);
  file.reset([], 0);
  file.unreadable = new Set();
  file.write(bytes, 0, bytes.length, 0, image.nextSerial());
  file.sync(image.serial);
  file.older.clear();
  image.names.force(image.names.slotOf(path, 'open'), inode);
}

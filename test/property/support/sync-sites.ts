/**
 * Where the engine waits for the disk, found in its text: every call that makes something durable, and every one that waits until something is. A mutant
 * leaves one of them out. They are derived, so that a new one without a test is seen.
 *
 * A place is named by its file, the function around it and its text, so that it keeps its name when lines move.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

export const SRC: string = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..', 'src');

/** Rooms that decide when something is durable. */
const ROOMS = ['segment', 'tombstone', 'intake', 'log', 'gc', 'queue', 'store', 'layout'];
/** `sync`, `syncDir`, `#syncAll`, `syncOrStop`: what is called so ends in a sync. */
const SYNC = /^#?(?:timedSync|sync(?:[A-Z]\w*)?)$/;
/** Blocking: they return nothing that is waited for. */
const BLOCKING = /Blocking$/;
/** What waits until others have made something durable, or until nobody reads it any more. */
const BARRIERS: readonly string[] = [
  'removalsDurable',
  'removalsWritten',
  'tombstonesDurable',
  'whenUnpinned',
  'settleData',
  'makeRoom',
];
/** Of a move: the words are too common to go by the name alone. */
const BARRIER_TEXTS = /^durably\.(?:appended|removed)\([^)]*\)$/;
/** They only hand on what they are called with. */
const PORTS: readonly string[] = ['store/grounded-vfs.ts'];

export interface SyncSite {
  /** `gc/gc-runner.ts #quarantine: syncFolder(vfs, aside)`. */
  readonly name: string;
  readonly file: string;
  readonly start: number;
  readonly end: number;
  readonly blocking: boolean;
}

export function syncSites(src: string = SRC): SyncSite[] {
  const sites: SyncSite[] = [];
  for (const room of ROOMS) {
    const files = readdirSync(join(src, room), { recursive: true, encoding: 'utf8' }).filter((file) =>
      file.endsWith('.ts'),
    );
    for (const found of files.sort()) {
      const file = `${room}/${found.replaceAll('\\', '/')}`;
      if (!PORTS.includes(file)) sites.push(...sitesIn(file, readFileSync(join(src, file), 'utf8')));
    }
  }
  return sites;
}

export function sitesIn(file: string, text: string): SyncSite[] {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  const sites: SyncSite[] = [];
  const times = new Map<string, number>();
  const visit = (node: ts.Node, within: string): void => {
    const around = nameOf(node) ?? within;
    if (ts.isCallExpression(node)) {
      const called = calledName(node);
      const text = node.getText(source).replaceAll(/\s+/g, ' ');
      if (called !== undefined && (SYNC.test(called) || BARRIERS.includes(called) || BARRIER_TEXTS.test(text))) {
        const plain = `${file} ${around}: ${text}`;
        const nth = (times.get(plain) ?? 0) + 1;
        times.set(plain, nth);
        sites.push({
          name: nth === 1 ? plain : `${plain} (${nth})`,
          file,
          start: node.getStart(source),
          end: node.getEnd(),
          blocking: BLOCKING.test(called),
        });
      }
    }
    ts.forEachChild(node, (child) => visit(child, around));
  };
  visit(source, '');
  return sites;
}

function nameOf(node: ts.Node): string | undefined {
  if (ts.isFunctionDeclaration(node) || ts.isMethodDeclaration(node) || ts.isGetAccessor(node))
    return node.name?.getText();
  return ts.isConstructorDeclaration(node) ? 'constructor' : undefined;
}

function calledName({ expression }: ts.CallExpression): string | undefined {
  if (ts.isIdentifier(expression)) return expression.text;
  return ts.isPropertyAccessExpression(expression) ? expression.name.text : undefined;
}

/** The name under which a bundle that has all of them looks for the one that is left out. */
const SWITCH = '__evaqLeftOut';

/** The text of a file in which each of its places can be left out: `number` gives the place's. */
export function withSwitches(text: string, sites: readonly SyncSite[], number: (site: SyncSite) => number): string {
  const edits = sites.flatMap((site) => [
    {
      at: site.start,
      put: `(globalThis.${SWITCH}(${number(site)}) ? ${site.blocking ? 'undefined' : 'Promise.resolve()'} : `,
      opens: true,
      span: site.end - site.start,
    },
    { at: site.end, put: ')', opens: false, span: site.end - site.start },
  ]);
  // From the back; where two begin at one place, the wider one is outside.
  edits.sort(
    (a, b) => b.at - a.at || Number(a.opens) - Number(b.opens) || (a.opens ? a.span - b.span : b.span - a.span),
  );
  let changed = text;
  for (const { at, put } of edits) changed = changed.slice(0, at) + put + changed.slice(at);
  return changed;
}

/** Leaves one out of the bundle from now on, or none. `reached` is told of each that is come to. */
export function leaveOut(number: number | undefined, reached?: (number: number) => void): void {
  Object.assign(globalThis, {
    [SWITCH]: (one: number): boolean => {
      reached?.(one);
      return one === number;
    },
  });
}

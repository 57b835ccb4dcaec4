// Which of the parts that esbuild cuts the command line into go into one file together. A file costs a third of a millisecond at each start, whatever is in
// it: so parts that the same commands load are one file, and a small one goes along with what is loaded whenever it is.

/** Below this a part may be read by commands that do not want it: that takes less time than opening one more file for those that do. */
const SMALL_BYTES = 8000;

/**
 * Of the outputs of a build that esbuild tells of (`metafile.outputs`): the packs, each with the names of the outputs in it. A lazy one holds the code of one
 * of `lazySources`: who imports something of it is to load it when that is used.
 */
export function planPacks(outputs, mainName, lazySources) {
  const parts = new Parts(outputs, mainName, lazySources);
  const packs = [];
  for (const names of groupBy(parts.loaded, (name) => parts.loadersOf(name).join(' '))) {
    const loaders = parts.loadersOf(names[0]);
    packs.push({ names, loaders, isLate: parts.isLate(loaders[0]), bytes: sum(names, (name) => outputs[name].bytes) });
  }
  packs.sort((a, b) => a.bytes - b.bytes);
  for (const small of packs) {
    const isOwn = small.names.some((name) => parts.isStart(name));
    const onto = isOwn || small.bytes > SMALL_BYTES ? undefined : hostFor(small, packs, parts);
    if (onto === undefined) continue;
    onto.names = [...small.names, ...onto.names];
    onto.bytes += small.bytes;
    small.names = [];
  }
  return packs
    .filter(({ names }) => names.length > 0)
    .map(({ names }) => ({ names, isLazy: names.some((name) => parts.isLazy(name)) }));
}

/** The pack that is loaded whenever `small` is, and by the fewest others; what `small` needs is loaded by all of those. */
function hostFor(small, packs, parts) {
  const imported = parts.importedBy(small.names);
  const needed = packs.filter(({ names, isLate }) => isLate === small.isLate && names.some((one) => imported.has(one)));
  return packs
    .filter((pack) => pack !== small && pack.names.length > 0 && includesAll(pack.loaders, small.loaders))
    .filter((pack) => needed.every((one) => one === pack || one === small || includesAll(one.loaders, pack.loaders)))
    .sort((a, b) => a.loaders.length - b.loaders.length || b.bytes - a.bytes)[0];
}

class Parts {
  #outputs;
  #lazy;
  #loaders = new Map();
  #starts;
  #main;

  constructor(outputs, mainName, lazySources) {
    this.#outputs = outputs;
    this.#main = mainName;
    this.#lazy = new Set(
      Object.keys(outputs).filter((name) =>
        lazySources.some((source) => (outputs[name].inputs[source]?.bytesInOutput ?? 0) > 0),
      ),
    );
    // The program, and what is loaded by `import()`.
    this.#starts = new Set([
      mainName,
      ...Object.values(outputs).flatMap((output) =>
        output.imports.filter(({ kind, external }) => kind === 'dynamic-import' && !external).map(({ path }) => path),
      ),
    ]);
    for (const start of this.#starts) this.#load(start, start);
    // What no start loads by itself is sorted by who of the lazy ones does.
    const late = new Set([...this.#lazy].filter((name) => !this.#loaders.has(name)));
    const known = new Set(this.#loaders.keys());
    for (const start of late) this.#load(start, start, known);
  }

  /** Of all outputs those that can be loaded. */
  get loaded() {
    return [...this.#loaders.keys()];
  }

  /** In the order of the starts. What the program loads at once is loaded by all. */
  loadersOf(name) {
    const loaders = this.#loaders.get(name);
    return [...(loaders.has(this.#main) && name !== this.#main ? this.#starts : loaders)];
  }

  isLazy(name) {
    return this.#lazy.has(name);
  }

  isStart(name) {
    return this.#starts.has(name);
  }

  isLate(loader) {
    return !this.#starts.has(loader);
  }

  /** What is loaded with them at once. */
  importedBy(names) {
    return new Set(
      names.flatMap((name) =>
        this.#outputs[name].imports
          .filter(({ kind, external, path }) => kind === 'import-statement' && !external && !this.#lazy.has(path))
          .map(({ path }) => path),
      ),
    );
  }

  #load(name, start, without = new Set()) {
    if (without.has(name)) return;
    const loaders = this.#loaders.get(name) ?? new Set();
    if (loaders.has(start)) return;
    this.#loaders.set(name, loaders.add(start));
    for (const imported of this.importedBy([name])) this.#load(imported, start, without);
  }
}

function groupBy(values, keyOf) {
  const groups = new Map();
  for (const value of values) groups.set(keyOf(value), [...(groups.get(keyOf(value)) ?? []), value]);
  return groups.values();
}

function includesAll(list, wanted) {
  return wanted.every((one) => list.includes(one));
}

function sum(values, of) {
  return values.reduce((total, value) => total + of(value), 0);
}

/**
 * Metrics of stores, for `prom-client`. Stores that are registered in one registry with one prefix share their metrics, and differ by their labels.
 *
 * Numbers are asked for when they are collected; what is measured by events (commits, removals, handlers) is counted from the registration on.
 */
import { optionNames, requireNoMore, requireOptions } from '../arguments.js';
import { DELIVERIES } from '../delivery/delivery-trace.js';
import { describe } from '../ids.js';
import { COMMITS } from '../queue/commit-trace.js';
import { REMOVALS } from '../queue/removal-trace.js';
import type { Evaq } from '../store/evaq.js';
import { type HealthOptions, healthBounds } from '../store/health.js';
import {
  BUCKETS,
  COMMIT_SECONDS,
  DELIVERY_SECONDS,
  type HistogramRow,
  METRICS,
  type MetricRow,
  type QueueTally,
  type Sample,
  type Snapshot,
} from './metric-table.js';
import type { MetricLabels, PrometheusClient, PrometheusHistogram, PrometheusRegistry } from './prometheus-client.js';

export interface MetricsOptions {
  /** The module `prom-client`. */
  readonly client: PrometheusClient;
  /** Where the metrics go. Default `client.register`. */
  readonly registry?: PrometheusRegistry;
  /** Labels of this store, with their values: the same names for each store in a registry, and other values. Default none. */
  readonly labels?: MetricLabels;
  /** In front of each name. Default 'evaq_'. */
  readonly prefix?: string;
  /** The bounds of `evaq.health()` for `healthy` and `health_reasons`. */
  readonly health?: Omit<HealthOptions, 'signal'>;
}

const NAMES = optionNames('client', 'registry', 'labels', 'prefix', 'health');
const NAME = /^[a-zA-Z_][a-zA-Z0-9_]*$/;
const OWN_LABELS = new Set(['queue', 'reason', 'le']);

/**
 * Registers the metrics of a store with the caller's `prom-client`. They are those of docs/observation.md. Once the store is closed it has no samples
 * any more. The result takes it out again, and the metrics with the last store; idempotent.
 * @throws TypeError for wrong options; for a store whose labels another has in the same registry, or whose names differ from the others'
 */
export function registerMetrics(evaq: Evaq, options: MetricsOptions): () => void {
  requireNoMore(arguments.length, 2, 'registerMetrics');
  requireOptions(options, 'registerMetrics', NAMES);
  const client: unknown = options?.client;
  if (typeof client !== 'object' || client === null || !('Gauge' in client))
    throw new TypeError(`client must be the module prom-client, got ${describe(client)}`);
  const { registry = options.client.register, labels = {}, prefix = 'evaq_', health = {} } = options;
  if (typeof prefix !== 'string' || (prefix !== '' && !NAME.test(prefix)))
    throw new TypeError(`prefix must be letters, digits and _, got ${describe(prefix)}`);
  healthBounds(health);
  requireLabels(labels);
  const families = familiesOf.get(registry) ?? new Map<string, Family>();
  familiesOf.set(registry, families);
  const known = families.get(prefix);
  const family = known ?? new Family(options.client, registry, prefix, Object.keys(labels));
  const leave = family.add(evaq, { ...labels }, { ...health });
  families.set(prefix, family);
  return () => {
    leave();
    if (family.isEmpty && families.get(prefix) === family) {
      families.delete(prefix);
      family.remove();
    }
  };
}

const familiesOf = new WeakMap<PrometheusRegistry, Map<string, Family>>();

interface Member {
  readonly evaq: Evaq;
  readonly labels: MetricLabels;
  readonly health: Omit<HealthOptions, 'signal'>;
  readonly tallies: Map<string, QueueTally>;
  readonly observed: Set<string>;
}

interface Shot {
  readonly labels: MetricLabels;
  readonly snapshot: Snapshot;
}

/** The metrics of one prefix in one registry. */
class Family {
  readonly #registry: PrometheusRegistry;
  readonly #labelNames: readonly string[];
  readonly #members = new Set<Member>();
  readonly #registered: string[] = [];
  readonly #commitSeconds: PrometheusHistogram;
  readonly #deliverySeconds: PrometheusHistogram;
  /** All metrics of a registry are collected in one turn, and are to tell of one moment. */
  #shots: Promise<readonly Shot[]> | undefined;

  constructor(client: PrometheusClient, registry: PrometheusRegistry, prefix: string, labelNames: readonly string[]) {
    this.#registry = registry;
    this.#labelNames = [...labelNames].sort();
    try {
      for (const row of METRICS) this.#register(prefix, row, this.#metricOf(client, prefix, row));
      this.#commitSeconds = this.#histogram(client, prefix, COMMIT_SECONDS);
      this.#deliverySeconds = this.#histogram(client, prefix, DELIVERY_SECONDS);
    } catch (error) {
      // Somebody has one of the names already.
      this.remove();
      throw error;
    }
  }

  get isEmpty(): boolean {
    return this.#members.size === 0;
  }

  add(evaq: Evaq, labels: MetricLabels, health: Member['health']): () => void {
    const names = Object.keys(labels).sort();
    if (names.join() !== this.#labelNames.join()) {
      const wanted = this.#labelNames.length === 0 ? 'none' : this.#labelNames.join(', ');
      throw new TypeError(`labels must have the names that the others in this registry have: ${wanted}`);
    }
    for (const other of this.#members) {
      if (names.every((name) => other.labels[name] === labels[name]))
        throw new TypeError('another store has these labels in this registry: give each one of its own');
    }
    const member: Member = { evaq, labels, health, tallies: new Map(), observed: new Set() };
    this.#members.add(member);
    const endings = this.#count(member);
    return () => {
      if (!this.#members.delete(member)) return;
      for (const end of endings) end();
      for (const queue of member.observed) {
        this.#commitSeconds.remove({ ...labels, queue });
        this.#deliverySeconds.remove({ ...labels, queue });
      }
    };
  }

  /** Takes the metrics out of the registry. */
  remove(): void {
    for (const name of this.#registered.splice(0)) this.#registry.removeSingleMetric(name);
  }

  #count({ evaq: { storeId }, labels, tallies, observed }: Member): readonly (() => void)[] {
    const tallyOf = (queue: string): QueueTally => {
      const known = tallies.get(queue);
      if (known !== undefined) return known;
      const made = { pushedRecords: 0, pushedBytes: 0, removedRecords: 0 };
      tallies.set(queue, made);
      return made;
    };
    const observe = (histogram: PrometheusHistogram, queue: string, ms: number): void => {
      observed.add(queue);
      histogram.observe({ ...labels, queue }, ms / 1000);
    };
    return [
      COMMITS.onOver((trace) => {
        if (trace.storeId !== storeId || 'error' in trace) return;
        const tally = tallyOf(trace.queue);
        tally.pushedRecords += trace.records;
        tally.pushedBytes += trace.payloadBytes;
        observe(this.#commitSeconds, trace.queue, trace.durationMs ?? 0);
      }),
      REMOVALS.onOver((trace) => {
        if (trace.storeId === storeId && !('error' in trace)) tallyOf(trace.queue).removedRecords += trace.records;
      }),
      DELIVERIES.onOver((trace) => {
        if (trace.storeId === storeId) observe(this.#deliverySeconds, trace.queue, trace.durationMs ?? 0);
      }),
    ];
  }

  #metricOf(client: PrometheusClient, prefix: string, row: MetricRow): unknown {
    const { kind, help, labelNames } = row;
    const configuration = {
      name: `${prefix}${row.name}`,
      help,
      labelNames: [...this.#labelNames, ...labelNames],
      registers: [],
    };
    if (kind === 'gauge') {
      const gauge = new client.Gauge({
        ...configuration,
        collect: () =>
          this.#collect(row, (samples) => {
            gauge.reset();
            for (const { labels, value } of samples) gauge.set(labels, value);
          }),
      });
      return gauge;
    }
    const counter = new client.Counter({
      ...configuration,
      collect: () =>
        this.#collect(row, (samples) => {
          counter.reset();
          for (const { labels, value } of samples) counter.inc(labels, value);
        }),
    });
    return counter;
  }

  #histogram(client: PrometheusClient, prefix: string, row: HistogramRow): PrometheusHistogram {
    const histogram = new client.Histogram({
      name: `${prefix}${row.name}`,
      help: row.help,
      labelNames: [...this.#labelNames, 'queue'],
      registers: [],
      buckets: [...BUCKETS],
    });
    this.#register(prefix, row, histogram);
    return histogram;
  }

  #register(prefix: string, { name }: { readonly name: string }, metric: unknown): void {
    this.#registry.registerMetric(metric);
    this.#registered.push(`${prefix}${name}`);
  }

  async #collect({ samples }: MetricRow, put: (samples: readonly Sample[]) => void): Promise<void> {
    this.#shots ??= this.#shoot().finally(() => {
      this.#shots = undefined;
    });
    const shots = await this.#shots;
    put(
      shots.flatMap(({ labels, snapshot }) =>
        samples(snapshot).map((sample) => ({ ...sample, labels: { ...labels, ...sample.labels } })),
      ),
    );
  }

  async #shoot(): Promise<readonly Shot[]> {
    const shots = [...this.#members].map(async ({ evaq, labels, health, tallies }) => {
      try {
        const found = await evaq.health(health);
        return [{ labels, snapshot: { stats: evaq.stats(), health: found, tallies } }];
      } catch {
        // It is closed, and has nothing to say.
        return [];
      }
    });
    return (await Promise.all(shots)).flat();
  }
}

function requireLabels(labels: unknown): void {
  if (typeof labels !== 'object' || labels === null) {
    throw new TypeError(`labels must be an object of names and texts, got ${describe(labels)}`);
  }
  for (const [name, value] of Object.entries(labels)) {
    if (!NAME.test(name) || OWN_LABELS.has(name)) throw new TypeError(`labels may not have the name '${name}'`);
    if (typeof value !== 'string') throw new TypeError(`labels.${name} must be a text, got ${describe(value)}`);
  }
}

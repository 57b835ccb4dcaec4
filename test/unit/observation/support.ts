/** Listens to channels for as long as a test lasts. */
import { channel, tracingChannel } from 'node:diagnostics_channel';
import { afterEach } from 'vitest';

const undo: (() => void)[] = [];

afterEach(() => {
  for (const one of undo.splice(0)) one();
});

export type TracingEvent = 'start' | 'end' | 'asyncStart' | 'asyncEnd' | 'error';

export interface Heard<T> {
  readonly event: TracingEvent;
  /** As it was then. */
  readonly context: T;
  /** The very object. */
  readonly same: T;
}

/** What is told on a tracing channel from now on, in order. */
export function hear<T extends object>(name: string): Heard<T>[] {
  const heard: Heard<T>[] = [];
  const told =
    (event: TracingEvent) =>
    (context: T): void => {
      heard.push({ event, context: { ...context }, same: context });
    };
  const subscribers = {
    start: told('start'),
    end: told('end'),
    asyncStart: told('asyncStart'),
    asyncEnd: told('asyncEnd'),
    error: told('error'),
  };
  const tracing = tracingChannel<unknown, T>(name);
  tracing.subscribe(subscribers);
  undo.push(() => tracing.unsubscribe(subscribers));
  return heard;
}

/** The contexts of what is over, as they were at the end. */
export function endedOf<T>(heard: readonly Heard<T>[]): T[] {
  return heard.filter(({ event }) => event === 'asyncEnd').map(({ context }) => context);
}

export function eventsOf(heard: readonly Heard<unknown>[]): TracingEvent[] {
  return heard.map(({ event }) => event);
}

export function hearPlain(name: string): unknown[] {
  const heard: unknown[] = [];
  listen(name, (message) => heard.push(message));
  return heard;
}

export function listen(name: string, subscriber: (message: unknown) => void): void {
  const told = channel(name);
  told.subscribe(subscriber);
  undo.push(() => told.unsubscribe(subscriber));
}

/** Calls `subscriber` at every start. */
export function onStart<T extends object>(name: string, subscriber: (context: T) => void): void {
  const nothing = (): void => undefined;
  const subscribers = { start: subscriber, end: nothing, asyncStart: nothing, asyncEnd: nothing, error: nothing };
  const tracing = tracingChannel<unknown, T>(name);
  tracing.subscribe(subscribers);
  undo.push(() => tracing.unsubscribe(subscribers));
}

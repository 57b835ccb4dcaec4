/**
 * What a destination of `evaq forward` is: schemes of URLs, the options that may stand behind a `?`, and how it is opened. One file each, beside this.
 */
import type { ForwardOptions, Sink } from '../../forward.js';
import type { UrlOptions } from './url-options.js';

export interface DestinationFlags {
  /** Of HTTP: 'raw' or 'ndjson'. */
  readonly format: 'raw' | 'ndjson';
  /** Of HTTP: sent with each request. */
  readonly headers: Readonly<Record<string, string>>;
  /** Goes on with what comes. */
  readonly follow: boolean;
}

export interface OpenDestination {
  readonly sink: Sink;
  /** What it does best with, where the command line says nothing. */
  readonly batch?: ForwardOptions['batch'];
  /** Of a batch. */
  readonly timeoutMs?: number;
  /** Lets the client go. */
  readonly close: () => Promise<void>;
}

export interface Destination {
  /** With their colon. */
  readonly schemes: readonly string[];
  /** How the URL is written, for messages. */
  readonly form: string;
  /** What may stand behind the `?`; 'any': that is the destination's own. */
  readonly options: readonly string[] | 'any';
  /** Loads the client. Connects when the first batch is delivered, not before: a dry run asks nobody. @throws UsageError */
  open(url: URL, options: UrlOptions, flags: DestinationFlags): Promise<OpenDestination>;
}

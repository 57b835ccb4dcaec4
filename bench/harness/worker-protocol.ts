/**
 * What the parent and its children say to each other.
 */
import type { ScaleName } from './scale.js';

export type Order =
  | {
      readonly order: 'start';
      readonly row: string;
      readonly caseIndex: number;
      readonly contender: string;
      readonly scale: ScaleName;
      readonly engine: string;
      readonly dir: string;
    }
  | { readonly order: 'round' }
  | { readonly order: 'memory' }
  | { readonly order: 'end' }
  | {
      readonly order: 'task';
      readonly task: string;
      readonly engine: string;
      readonly params: Readonly<Record<string, number | string>>;
    };

export type Reply<T> =
  | { readonly reply: 'done'; readonly value: T }
  | { readonly reply: 'unavailable'; readonly reason: string }
  | { readonly reply: 'failed'; readonly reason: string };

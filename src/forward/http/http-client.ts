/**
 * One request, by whatever the caller has: something of `undici`, or else the global `fetch`.
 */
import { describe } from '../../ids.js';

export interface HttpRequest {
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array | undefined;
  readonly signal: AbortSignal;
}

export interface HttpResponse {
  readonly status: number;
  readonly headers: { get(name: string): string | null };
  readonly text: string;
}

/** Rejects where there was no answer. */
export type HttpClient = (url: URL, request: HttpRequest) => Promise<HttpResponse>;

/** What is needed of an `undici` Pool, Client or Agent, which is the caller's: it is never imported here. */
export interface UndiciLike {
  request(options: {
    origin: string;
    path: string;
    method: string;
    headers: Record<string, string>;
    body: Uint8Array | null;
    signal: AbortSignal;
  }): Promise<{
    statusCode: number;
    headers: Record<string, string | string[] | undefined>;
    body: { text(): Promise<string> };
  }>;
}

export function requestBy(client: UndiciLike | undefined): HttpClient {
  if (client === undefined) return byFetch;
  if (typeof client !== 'object' || client === null || typeof client.request !== 'function') {
    throw new TypeError(`client must be an undici Pool, Client or Agent, got ${describe(client)}`);
  }
  return async (url, { method, headers, body, signal }) => {
    const { origin, pathname, search } = url;
    const path = pathname + search;
    const response = await client.request({
      origin,
      path,
      method,
      headers: { ...headers },
      body: body ?? null,
      signal,
    });
    return {
      status: response.statusCode,
      headers: {
        get: (name) => {
          const value = response.headers[name];
          return Array.isArray(value) ? (value[0] ?? null) : (value ?? null);
        },
      },
      // Read to its end, or the connection is not free for the next.
      text: await response.body.text(),
    };
  };
}

async function byFetch(url: URL, { method, headers, body, signal }: HttpRequest): Promise<HttpResponse> {
  const sent = body === undefined ? {} : { body };
  const response = await fetch(url, { method, headers: { ...headers }, signal, redirect: 'manual', ...sent });
  return { status: response.status, headers: response.headers, text: await response.text() };
}

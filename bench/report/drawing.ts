/**
 * Loads what draws: Observable Plot, and a document for it to draw on.
 */
export interface Drawing {
  readonly Plot: typeof import('@observablehq/plot');
  readonly document: object;
}

/** `undefined` where it is not installed: a run without a chart is still a run. */
export async function loadDrawing(): Promise<Drawing | undefined> {
  try {
    const Plot = await import('@observablehq/plot');
    const { parseHTML } = await import('linkedom');
    const { document } = parseHTML('<!doctype html><html><body></body></html>');
    return { Plot, document };
  } catch {
    return undefined;
  }
}

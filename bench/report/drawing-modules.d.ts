/**
 * As much of the interfaces of the packages that draw as is used here, so that the bench is type-checked where they are not installed.
 */
declare module '@observablehq/plot' {
  export function plot(options: object): { readonly outerHTML: string };
  export function ruleY(data: readonly object[], options: object): object;
  export function lineY(data: readonly object[], options: object): object;
  export function text(data: readonly object[], options: object): object;
  export function dot(data: readonly object[], options: object): object;
}

declare module 'linkedom' {
  export function parseHTML(html: string): { readonly document: object };
}

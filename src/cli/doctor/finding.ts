/** What `evaq doctor` says of one thing that it has looked at. */
export interface Finding {
  readonly subject: string;
  /** 'warns': it works, and may not do what is expected of it. 'fails': a store cannot be kept, or not be relied on, like this. */
  readonly verdict: 'ok' | 'warns' | 'fails';
  readonly says: string;
  readonly hint?: string;
}

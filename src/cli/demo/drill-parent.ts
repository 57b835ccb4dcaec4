/**
 * The drill as its children see it: the parent process, behind a channel.
 */

/**
 * Sees to it that this process ends when the drill is gone, however that went, and returns what sends the drill a message: handed to the
 * system before it returns, unless a buffer there is full. An interrupt from the terminal reaches the whole group of processes; it is for
 * the drill to say what follows.
 */
export function joinDrill(): (message: object) => void {
  if (process.send === undefined) throw new Error('this command is for evaq demo, which starts it by itself');
  process.on('SIGINT', () => undefined);
  process.on('disconnect', () => process.exit(0));
  return (message) => {
    // The drill may be gone already: then this process is about to end.
    if (process.connected) process.send?.(message, undefined, undefined, () => undefined);
  };
}

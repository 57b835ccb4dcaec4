/** `<first seed> <stores> <scratch>`: one store of lies after the other. Says what it is at, so that whoever watches it knows where it died. */
import { runLies } from './lying-run.js';

const [, , first = '1', stores = '1', scratch = ''] = process.argv;
for (let seed = Number(first); seed < Number(first) + Number(stores); seed++) {
  for (const finding of await runLies(seed, scratch)) console.log(`FOUND ${JSON.stringify(finding)}`);
}
console.log('DONE');

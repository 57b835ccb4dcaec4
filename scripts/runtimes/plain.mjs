import * as evaq from 'evaq';
import { newFolder } from './folder.cjs';
import { mainCalls } from './main-calls.cjs';

await mainCalls(evaq, newFolder());
console.log('done');

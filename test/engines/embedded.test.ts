/** The store on this disk, as the reference for the other engines. */
import { embedded } from './engine.js';
import { testQueue } from './queue-suite.js';

testQueue(embedded);

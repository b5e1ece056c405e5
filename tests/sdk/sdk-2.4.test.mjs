import { everything } from './suite.mjs';

everything('conversations-2.4');

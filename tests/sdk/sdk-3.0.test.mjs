import { everything } from './suite.mjs';

everything('conversations-3.0');

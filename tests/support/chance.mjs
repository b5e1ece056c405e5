// Chance with a seed, so that a failure can be seen again.

import { randomInt } from 'node:crypto';

/// The seed to use: TERTULIA_TEST_SEED, or a new one.
export function freshSeed() {
  return Number(process.env.TERTULIA_TEST_SEED ?? randomInt(2 ** 31));
}

export class Chance {
  constructor(seed) {
    this.state = seed >>> 0;
  }

  /// A number from 0 up to but not including `limit` (the generator called mulberry32).
  below(limit) {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.state ^ (this.state >>> 15), this.state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit);
  }

  of(list) {
    return list[this.below(list.length)];
  }
}

// Time from the host. Monotonic nanoseconds fit a double for 104 days; BigInt is kept only where Node shows one.
import { now as monotonicNow } from 'wasi:clocks/monotonic-clock@0.2.10';

/** Nanoseconds of the monotonic clock, as a BigInt. */
export const nowNs = () => monotonicNow();

/** Milliseconds of the monotonic clock, with fractions. */
export const nowMs = () => Number(monotonicNow()) / 1e6;

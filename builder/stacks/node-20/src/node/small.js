// Modules of a few lines each.
import cryptoModule from './crypto.js';
import fsModule from './fs.js';
import osModule from './os.js';
import { unavailableModule } from '../lang/unavailable.js';

/** node:constants */
export const constants = {
  ...osModule.constants.errno,
  ...osModule.constants.signals,
  ...fsModule.constants,
  ...cryptoModule.constants,
};

/** node:v8 */
export const v8 = {
  ...unavailableModule('v8', ['getHeapSnapshot', 'writeHeapSnapshot', 'setHeapSnapshotNearHeapLimit', 'startupSnapshot']),
  getHeapStatistics: () => ({
    total_heap_size: 0,
    total_heap_size_executable: 0,
    total_physical_size: 0,
    total_available_size: 0,
    used_heap_size: 0,
    heap_size_limit: 512 * 2 ** 20,
    malloced_memory: 0,
    peak_malloced_memory: 0,
  }),
  getHeapSpaceStatistics: () => [],
  getHeapCodeStatistics: () => ({}),
  setFlagsFromString() {},
  cachedDataVersionTag: () => 0,
  serialize: (value) => globalThis.Buffer.from(JSON.stringify(value)),
  deserialize: (bytes) => JSON.parse(globalThis.Buffer.from(bytes).toString()),
};

/** node:trace_events */
export const traceEvents = {
  createTracing: () => ({ enable() {}, disable() {}, enabled: false, categories: '' }),
  getEnabledCategories: () => undefined,
};

const { performance } = globalThis;
const marks = new Map();
const extra = {
  mark(name, options = {}) {
    const entry = {
      name,
      entryType: 'mark',
      startTime: options.startTime ?? performance.now(),
      duration: 0,
      detail: options.detail ?? null,
    };
    marks.set(name, entry);
    return entry;
  },
  measure(name, start, end) {
    const at = (mark, fallback) => (mark === undefined ? fallback : (marks.get(mark)?.startTime ?? fallback));
    const from = typeof start === 'object' ? (start.start ?? 0) : at(start, 0);
    const to = typeof start === 'object' ? (start.end ?? performance.now()) : at(end, performance.now());
    return { name, entryType: 'measure', startTime: from, duration: to - from, detail: null };
  },
  clearMarks: (name) => (name === undefined ? marks.clear() : void marks.delete(name)),
  clearMeasures() {},
  getEntries: () => [...marks.values()],
  getEntriesByName: (name) => [...marks.values()].filter((mark) => mark.name === name),
  getEntriesByType: (type) => (type === 'mark' ? [...marks.values()] : []),
  timerify: (fn) => fn,
  eventLoopUtilization: () => ({ idle: 0, active: 0, utilization: 0 }),
  toJSON: () => ({ timeOrigin: performance.timeOrigin }),
};
for (const [name, value] of Object.entries(extra)) {
  if (performance[name] === undefined) {
    Object.defineProperty(performance, name, { configurable: true, writable: true, value });
  }
}

/** node:perf_hooks */
export const perfHooks = {
  performance,
  constants: {},
  PerformanceObserver: class PerformanceObserver {
    static supportedEntryTypes = [];
    observe() {}
    disconnect() {}
    takeRecords() {
      return [];
    }
  },
  PerformanceEntry: class PerformanceEntry {},
  ...unavailableModule('perf_hooks', ['monitorEventLoopDelay', 'createHistogram']),
};

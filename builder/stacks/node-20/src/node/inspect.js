// util.inspect and util.format: Node's own code, as node-inspect-extracted packs it.
import extracted from 'node-inspect-extracted';

export const { inspect, format, formatWithOptions, stripVTControlCharacters } = extracted;

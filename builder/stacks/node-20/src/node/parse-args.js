// util.parseArgs, for command lines of the app's own.
import { codedError } from '../lang/codes.js';

const unknown = (flag) => codedError(TypeError, 'ERR_PARSE_ARGS_UNKNOWN_OPTION', `Unknown option '${flag}'`);

export function parseArgs(config = {}) {
  const { options = {}, strict = true, tokens: wantTokens = false } = config;
  const args = [...(config.args ?? globalThis.process.argv.slice(2))];
  const allowPositionals = config.allowPositionals ?? !strict;
  const allowNegative = config.allowNegative ?? false;
  const values = { __proto__: null };
  const positionals = [];
  const tokens = [];
  const byShort = new Map(Object.entries(options).map(([name, option]) => [option.short, name]));

  const store = (name, flag, value) => {
    const option = options[name];
    if (option === undefined && strict) throw unknown(flag);
    if (strict && option.type === 'string' && typeof value !== 'string') {
      throw codedError(TypeError, 'ERR_PARSE_ARGS_INVALID_OPTION_VALUE', `Option '${flag} <value>' argument missing`);
    }
    if (strict && option.type === 'boolean' && typeof value === 'string') {
      throw codedError(TypeError, 'ERR_PARSE_ARGS_INVALID_OPTION_VALUE', `Option '${flag}' does not take an argument`);
    }
    if (option?.multiple) (values[name] ??= []).push(value ?? true);
    else values[name] = value ?? true;
    tokens.push({ kind: 'option', name, rawName: flag, value });
  };
  const wantsValue = (name) => options[name]?.type === 'string';

  while (args.length > 0) {
    const arg = args.shift();
    if (arg === '--') {
      positionals.push(...args.splice(0));
    } else if (arg.startsWith('--')) {
      const equals = arg.indexOf('=');
      const name = equals < 0 ? arg.slice(2) : arg.slice(2, equals);
      if (equals >= 0) store(name, `--${name}`, arg.slice(equals + 1));
      else if (wantsValue(name)) store(name, arg, args.shift());
      else if (allowNegative && name.startsWith('no-') && options[name] === undefined) store(name.slice(3), arg, false);
      else store(name, arg, undefined);
    } else if (arg.startsWith('-') && arg.length > 1) {
      for (let i = 1; i < arg.length; i++) {
        const name = byShort.get(arg[i]) ?? arg[i];
        if (wantsValue(name)) {
          store(name, `-${arg[i]}`, i + 1 < arg.length ? arg.slice(i + 1) : args.shift());
          break;
        }
        store(name, `-${arg[i]}`, undefined);
      }
    } else {
      if (!allowPositionals) {
        throw codedError(
          TypeError,
          'ERR_PARSE_ARGS_UNEXPECTED_POSITIONAL',
          `Unexpected argument '${arg}'. This command does not take positional arguments`,
        );
      }
      positionals.push(arg);
    }
  }
  for (const [name, option] of Object.entries(options)) {
    if (option.default !== undefined && values[name] === undefined) values[name] = option.default;
  }
  return wantTokens ? { values, positionals, tokens } : { values, positionals };
}

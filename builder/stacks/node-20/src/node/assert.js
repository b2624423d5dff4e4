// node:assert: the maintained `assert` package (Node's own code).
import assert from 'assert';

assert.strict.strict = assert.strict;

export default assert;

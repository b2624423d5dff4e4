'use strict';

// Spaces in times are of several kinds, by the version of the data.
const plain = (text) => text.replace(/[\u202f\u00a0]/g, ' ');

module.exports = async (check) => {
  const date = new Date(Date.UTC(2026, 10, 5, 14, 3, 9));
  const utc = { timeZone: 'UTC' };
  await check('date and time', () => plain(date.toLocaleString('en-US', utc)));
  await check('date', () => date.toLocaleDateString('en-US', utc));
  await check('time', () => plain(date.toLocaleTimeString('en-US', utc)));
  await check('time zone', () => plain(date.toLocaleString('en-US', { timeZone: 'America/New_York' })));
  await check('summer time', () => plain(new Date(Date.UTC(2026, 6, 1)).toLocaleString('en-US', { timeZone: 'Europe/Berlin' })));
  for (const style of ['full', 'long', 'medium', 'short']) {
    await check(`dateStyle ${style}`, () => date.toLocaleDateString('en-US', { ...utc, dateStyle: style }));
  }
  await check('parts', () => plain(new Intl.DateTimeFormat('en-US', { ...utc, weekday: 'short', day: '2-digit', month: 'short', year: 'numeric', hour: '2-digit', minute: '2-digit', hour12: false }).format(date)));
  await check('formatToParts', () => new Intl.DateTimeFormat('en-US', utc).formatToParts(date));
  await check('an unknown zone', () => {
    try {
      return new Intl.DateTimeFormat('en-US', { timeZone: 'Mars/Base' });
    } catch (error) {
      return error.name;
    }
  });
  for (const number of [0, 1234567.891, -5.5, 1e21, NaN]) await check(`number ${number}`, () => number.toLocaleString('en-US'));
  await check('digits', () => (3.14159).toLocaleString('en-US', { maximumFractionDigits: 2 }));
  await check('currency', () => new Intl.NumberFormat('en-US', { style: 'currency', currency: 'EUR' }).format(1234.5));
  await check('percent', () => new Intl.NumberFormat('en-US', { style: 'percent' }).format(0.256));
  await check('compact', () => new Intl.NumberFormat('en-US', { notation: 'compact' }).format(12_345));
  await check('plural', () => [0, 1, 2].map((n) => new Intl.PluralRules('en-US').select(n)));
  await check('ordinal', () => [1, 2, 3, 4].map((n) => new Intl.PluralRules('en-US', { type: 'ordinal' }).select(n)));
  await check('canonical', () => Intl.getCanonicalLocales('EN-us'));
};

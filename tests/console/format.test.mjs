// How numbers are written, without a browser.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as format from '../../src/console/page/format.js';
import { History } from '../../src/console/page/history.js';
import { selector, sum } from './demo.mjs';

test('numbers have three digits and a unit', () => {
  const cases = [
    [format.ms(0.0214), '21.4 µs'],
    [format.ms(0.9999), '1.00 ms'],
    [format.ms(438.3), '438 ms'],
    [format.ms(1500), '1.50 s'],
    [format.ms(150_000), '2.50 min'],
    [format.ms(null), '–'],
    [format.bytes(0), '0 B'],
    [format.bytes(1_832_173), '1.75 MiB'],
    [format.ratio(0.0571), '5.71%'],
    [format.ratio(1), '100%'],
    [format.ratio(0), '0%'],
    [format.rate(51.27), '51.3/s'],
    [format.count(1234567), '1,234,567'],
    [format.compact(1_199_200), '1.20M'],
    [format.span(12), '12 s'],
    [format.span(200), '3 m 20 s'],
    [format.span(7500), '2 h 05 m'],
    [format.period(120), '2 min'],
    [format.neat(format.ratio)(0.05), '5%'],
    [format.neat(format.ms)(100), '100 ms'],
    [format.neat(format.ms)(2500), '2.5 s'],
    [format.neat(format.rate)(60), '60/s'],
    [format.plural(1, 'line'), '1 line'],
  ];
  for (const [is, wanted] of cases) assert.equal(is, wanted);
});

const points = (t, rate, tools = {}) => ({ t, all: { rate }, tools });

test('history appends what is new, and breaks where points are missing', () => {
  const history = new History();
  history.merge({ step_s: 10, fine_step_s: 1, fine: points([1, 2], [5, 6]) });
  history.merge({
    step_s: 10,
    fine_step_s: 1,
    fine: points([1, 2, 3], [5, 6, 7], { a: { rate: [1, 2, 3] } }),
  });
  assert.deepEqual(history.window(300).column('all/rate'), [5, 6, 7]);
  assert.deepEqual(history.window(300).column('tools/a/rate'), [null, null, 3]);
  history.merge({ step_s: 10, fine_step_s: 1, fine: points([9], [8]) });
  assert.deepEqual(history.window(300).t, [1, 2, 3, 4, 9]);
  assert.deepEqual(history.window(300).column('all/rate'), [5, 6, 7, null, 8]);
  assert.deepEqual(history.window(300).column('tools/a/rate'), [null, null, 3, null, null]);
});

test('five minutes show the coarse points where there are no fine ones', () => {
  const history = new History();
  history.merge({ step_s: 10, fine_step_s: 1, coarse: points([10, 20, 30, 40], [1, 2, 3, 4]) });
  history.merge({ step_s: 10, fine_step_s: 1, fine: points([36, 37, 38, 39, 40, 41], [9, 9, 9, 9, 9, 9]) });
  assert.deepEqual(history.window(300).t, [10, 20, 30, 36, 37, 38, 39, 40, 41]);
  assert.deepEqual(history.window(3600).t, [10, 20, 30, 40]);
});

test('history is bounded', () => {
  const history = new History();
  for (let t = 1; t <= 1000; t++)
    history.merge({ fine: points([t], [t], t < 500 ? { gone: { rate: [t] } } : {}) });
  assert.equal(history.fine.t.length, 300);
  assert.equal(history.fine.columns.get('all/rate').length, 300);
  assert.equal(history.fine.columns.has('tools/gone/rate'), false);
});

test('the reader of /metrics reads what is quoted', () => {
  assert.deepEqual(selector('a{b="x\\"y,}",c="\\\\"}'), { name: 'a', labels: { b: 'x"y,}', c: '\\' } });
  const all = [
    { name: 'a', labels: { b: '1' }, value: 2 },
    { name: 'a', labels: { b: '2' }, value: 3 },
  ];
  assert.equal(sum(all, 'a'), 5);
  assert.equal(sum(all, 'a{b="2"}'), 3);
  assert.equal(sum(all, 'a{b="3"}'), null);
});

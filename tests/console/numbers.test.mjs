// Each number of the console that /metrics has as well is the same there. The load has ended, so
// that both speak of the same moment.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openPage, startBrowser } from './browser.mjs';
import { samples, startDemo, sum } from './demo.mjs';

const WITHIN_MS = 20_000;

let demo;
let browser;

before(async () => {
  [demo, browser] = await Promise.all([
    startDemo('--duration', '4s', '--linger', '10m', '--rate', '100'),
    startBrowser(),
  ]);
  await demo.says(/requests in \d+ sessions/);
});
after(async () => {
  await browser?.close();
  await demo?.stop();
});

// What a view must show at least, so that an empty one doesn't pass.
const LEAST = { overview: 5, tools: 30, agents: 25, engine: 5 };

for (const [view, least] of Object.entries(LEAST)) {
  test(`${view} shows what /metrics says`, async () => {
    const opened = await openPage(browser, demo.url, { hash: `#/${view}` });
    const { page } = opened;
    await page.waitForFunction((least) => document.querySelectorAll('[data-metric]').length >= least, least);
    const shown = () =>
      page
        .locator('[data-metric]')
        .evaluateAll((all) => all.map(({ dataset }) => [dataset.metric, Number(dataset.value)]));

    // Readings of the process (its memory, its logs) go on by themselves: a number may be of any
    // moment between two scrapes, and is right when it was so at one of them. All must come to be.
    const right = new Set();
    const known = new Set();
    let wrong = new Map();
    const until = Date.now() + WITHIN_MS;
    do {
      const before = await samples(demo.url);
      const now = await shown();
      const later = await samples(demo.url);
      wrong = new Map();
      for (const [metric, value] of now) {
        // What /metrics has no sample of yet is 0.
        const of = [sum(before, metric) ?? 0, sum(later, metric) ?? 0];
        if (sum(later, metric) !== null) known.add(metric);
        if (of.includes(value)) right.add(metric);
        else if (!right.has(metric)) wrong.set(metric, { shown: value, metrics: of });
        // What has stood still since before the page was opened can't be wrong even once.
        if (metric.startsWith('mcp_requests_total')) assert.equal(value, of[0], metric);
      }
    } while (wrong.size && Date.now() < until);
    assert.deepEqual(Object.fromEntries(wrong), {}, 'numbers that /metrics does not have');
    assert.ok(known.size >= least, `only ${known.size} of the numbers are in /metrics`);
    await opened.close();
  });
}

test('a number in a cell is the number it carries', async () => {
  const opened = await openPage(browser, demo.url, { hash: '#/tools' });
  const cells = opened.page.locator('td[data-metric]');
  await cells.first().waitFor();
  const pairs = await cells.evaluateAll((all) => all.map((cell) => [cell.textContent, cell.dataset.value]));
  for (const [text, value] of pairs) assert.equal(text.replaceAll(',', ''), value);
  await opened.close();
});

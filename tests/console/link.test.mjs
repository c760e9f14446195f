// The connection: what is said when the server is gone, when it comes back, and when there are too
// many viewers.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openPage, startBrowser } from './browser.mjs';
import { startDemo } from './demo.mjs';

const MOST_VIEWERS = 8;

let browser;

before(async () => {
  browser = await startBrowser();
});
after(() => browser?.close());

test('a server that is gone is said to be, and how long', async () => {
  const demo = await startDemo();
  const { page, trouble } = await openPage(browser, demo.url);
  await page.locator('.tile-number:not(:text-is("–"))').first().waitFor();
  await demo.stop();
  await page.locator('#link[data-link="lost"]').waitFor();
  await page.getByText(/Not connected for \d+ s\. What is shown is from then\./).waitFor();
  assert.match(await page.locator('#say').textContent(), /Not connected/);
  // What was known is still shown.
  assert.notEqual(await page.locator('.tile-number').first().textContent(), '–');
  assert.ok(
    trouble.every((one) => /Failed to load resource|ERR_|incomplete/i.test(one)),
    trouble.join('\n'),
  );
  await page.context().close();
});

test('a viewer too many sees the numbers all the same', async () => {
  const demo = await startDemo();
  const streams = [];
  try {
    for (let i = 0; i < MOST_VIEWERS; i++) {
      const stop = new AbortController();
      streams.push(stop);
      await fetch(new URL('events', demo.url), { signal: stop.signal });
    }
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(demo.url);
    await page.locator('#link[data-link="polling"]').waitFor();
    await page.getByText('Until then this page asks every 5 s.').waitFor();
    await page.locator('.tile-number:not(:text-is("–"))').first().waitFor();
    // A place becomes free: the page takes it by itself.
    streams.pop().abort();
    await page.locator('#link[data-link="live"]').waitFor();
    await context.close();
  } finally {
    for (const stop of streams) stop.abort();
    await demo.stop();
  }
});

test('a hidden tab lets go of its stream', async () => {
  const demo = await startDemo();
  const { page } = await openPage(browser, demo.url);
  const viewers = async () =>
    (await (await fetch(new URL('api/state', demo.url))).json()).engine.console.viewers;
  const becomes = async (wanted) => {
    for (let i = 0; i < 200; i++) {
      if ((await viewers()) === wanted) return;
      await new Promise((next) => setTimeout(next, 50));
    }
    assert.equal(await viewers(), wanted);
  };
  await becomes(1);
  const hide = (hidden) =>
    page.evaluate((hidden) => {
      Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
      document.dispatchEvent(new Event('visibilitychange'));
    }, hidden);
  await hide(true);
  await becomes(0);
  await hide(false);
  await becomes(1);
  await page.context().close();
  await demo.stop();
});

// Followed lines when the server restarts, when it refuses the stream, and when lines pass by that
// nobody sees.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openPage, startBrowser } from './browser.mjs';
import { startDemo } from './demo.mjs';

let browser;
let demo;

before(async () => {
  browser = await startBrowser();
  demo = await startDemo();
});
after(async () => {
  await browser?.close();
  await demo?.stop();
});

/** The view of the logs, whose streams are answered by `answer(number of the request)`. */
async function follow(answer) {
  const { page } = await openPage(browser, demo.url);
  let asked = 0;
  await page.route('**/console/logs/events*', (route) => {
    const answered = answer(++asked);
    return answered ? route.fulfill(answered) : route.continue();
  });
  await page.evaluate(() => (location.hash = '#/logs'));
  return page;
}

const stream = (body) => ({ status: 200, contentType: 'text/event-stream', body });

test('lines of a server that was started again are shown, though their numbers are small', async () => {
  const line = JSON.stringify({ level: 'info', logger: 'new', message: 'after the restart' });
  const page = await follow(() => stream(`event: line\nid: 1\ndata: ${line}\n\n`));
  await page.locator('.line-message', { hasText: 'after the restart' }).first().waitFor();
  await page.context().close();
});

test('a stream that is refused is said to be, and asked for again', async () => {
  const page = await follow((asked) => (asked === 1 ? { status: 503, body: 'too many' } : null));
  await page.locator('.log-status', { hasText: 'refused' }).waitFor();
  await page.locator('.log-status', { hasText: 'lines' }).filter({ hasNotText: 'refused' }).waitFor();
  await page.context().close();
});

test('lines that pass by in a row are one remark', async () => {
  const page = await follow(() => stream('event: lost\ndata: {"lost":1}\n\n'.repeat(50)));
  await page.getByText('50 lines passed by too quickly to be shown.').waitFor();
  assert.equal(await page.locator('.line-lost').count(), 1);
  await page.context().close();
});

test('a connection that is silent is said to be lost, and made anew', async () => {
  const { page } = await openPage(browser, demo.url);
  await page.locator('#link[data-link="live"]').waitFor();
  // The machine sleeps ever again: the clock goes on, and nothing comes.
  await page.evaluate(() => {
    const links = [];
    globalThis.links = links;
    new MutationObserver(() => links.push(document.getElementById('link').dataset.link)).observe(
      document.getElementById('link'),
      { attributes: true, attributeFilter: ['data-link'] },
    );
    const now = Date.now;
    let slept = 0;
    Date.now = () => now() + (slept += 60_000);
    globalThis.wake = () => (Date.now = now);
  });
  await page.waitForFunction(() => globalThis.links.includes('lost'));
  await page.evaluate(() => globalThis.wake());
  await page.locator('#link[data-link="live"]').waitFor();
  await page.context().close();
});

// Draws docs/images/console-*.png anew: scripts/console-test.sh BINARY --screenshots
import { mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { startBrowser, openPage } from './browser.mjs';
import { startDemo } from './demo.mjs';
import { root } from './parts.mjs';

const FOLDER = join(root, 'docs', 'images');
const MOST_BYTES = 250_000;
const MOST_HEIGHT = 1160;
// So long somebody looks before the pictures are taken: charts have a minute and a half to show.
const LOOK_MS = Number(process.env.CONSOLE_LOOK_S ?? 95) * 1000;
const NARROW = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 1.5 };
// Text by the page makes large pictures.
const LOW = { viewport: { width: 1280, height: 640 }, fixed: true };

const click = (selector) => (page) => page.locator(selector).first().click();

// A task with everything in it: several spans, one in another.
async function openTrace(page) {
  await page.locator('tbody tr').first().waitFor();
  await page.getByRole('button', { name: 'Spans' }).click();
  await page.locator('tbody tr a').first().click();
  await page.locator('.wf-row').nth(0).click();
  await page.locator('.trace-lines .line').first().waitFor();
}

async function openLine(page) {
  await page.locator('.line').nth(30).waitFor();
  await page.keyboard.press('f');
  const line = page.locator('.line[data-level="warn"]:has(a.id)').last();
  await line.locator('summary').click();
  await line.scrollIntoViewIfNeeded();
}

const PICTURES = [
  ['overview', '#/overview', 'light'],
  ['overview-dark', '#/overview', 'dark'],
  ['tools', '#/tools', 'light'],
  ['tool', '#/tools/neural_predict', 'dark', null, { viewport: { width: 1280, height: 820 }, fixed: true }],
  ['agents', '#/agents', 'light'],
  ['logs', '#/logs', 'dark', openLine, { viewport: { width: 1280, height: 760 }, fixed: true }],
  ['logs-light', '#/logs?level=warn', 'light', null, LOW],
  ['traces', '#/traces', 'light', null, LOW],
  ['trace', '#/traces?name=task_orchestrate', 'light', openTrace],
  ['trace-dark', '#/traces?name=task_orchestrate', 'dark', openTrace],
  ['cardinality', '#/cardinality', 'light'],
  ['engine', '#/engine', 'dark'],
  ['keys', '#/tools', 'light', click('#help')],
  ['narrow', '#/overview', 'light', null, NARROW],
  ['narrow-logs', '#/logs', 'dark', null, NARROW],
];

mkdirSync(FOLDER, { recursive: true });
const [demo, browser] = await Promise.all([startDemo('--rate', '60', '--seed', '7'), startBrowser()]);
let failed = false;

async function shoot(page, name, fixed = false) {
  const height = await page.evaluate(() => document.documentElement.scrollHeight);
  const view = page.viewportSize();
  const file = join(FOLDER, `console-${name}.png`);
  // The pointer would hold a chart's cursor where it happens to be.
  await page.mouse.move(0, 0);
  const tall = Math.min(Math.max(height, view.height), MOST_HEIGHT);
  if (!fixed && view.width > 400) await page.setViewportSize({ width: view.width, height: tall });
  await page.waitForTimeout(1600); // a state, a history, and a drawing of the new size
  await page.screenshot({ path: file });
  const { size } = statSync(file);
  console.log(`${file}: ${Math.round(size / 1000)} kB`);
  failed ||= size > MOST_BYTES;
}

try {
  const looking = await openPage(browser, demo.url, { hash: '#/overview' });
  await looking.page.waitForTimeout(LOOK_MS);
  for (const [name, hash, colorScheme, then, settings] of PICTURES) {
    if (process.env.CONSOLE_ONLY && !process.env.CONSOLE_ONLY.split(',').includes(name)) continue;
    const { fixed, ...options } = settings ?? {};
    const { page, close } = await openPage(browser, demo.url, { hash, colorScheme, ...options });
    await page.locator('#version:not(:empty)').waitFor({ state: 'attached' });
    await page.waitForTimeout(1200);
    await then?.(page);
    await shoot(page, name, fixed);
    await close();
  }
  await demo.stop();
  await looking.page.locator('#link[data-link="lost"]').waitFor();
  await looking.page.waitForTimeout(11_000);
  await shoot(looking.page, 'disconnected');
} finally {
  await browser.close();
  await demo.stop();
}
if (failed) {
  console.error(`a picture is larger than ${MOST_BYTES} bytes`);
  process.exitCode = 1;
}

// Chromium, and pages that notice what a viewer would not: errors, what the content security policy
// forbade, requests to elsewhere, layout that moved.
import assert from 'node:assert/strict';
import { axeSource, chromium, chromiumPath } from './parts.mjs';

export async function startBrowser() {
  return chromium().launch({
    executablePath: chromiumPath,
    args: ['--no-sandbox', '--font-render-hinting=none'],
  });
}

/** Opens a view; `trouble` fills while the page lives. */
export async function openPage(browser, url, { hash = '', ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
  const page = await context.newPage();
  const trouble = [];
  const origin = new URL(url).origin;
  page.on(
    'console',
    (message) => ['error', 'warning'].includes(message.type()) && trouble.push(`console: ${message.text()}`),
  );
  page.on('pageerror', (error) => trouble.push(`error: ${error.stack}`));
  page.on(
    'request',
    (request) => new URL(request.url()).origin !== origin && trouble.push(`request to ${request.url()}`),
  );
  page.on(
    'response',
    (response) => response.status() >= 400 && trouble.push(`${response.status()} for ${response.url()}`),
  );
  await page.addInitScript(() => {
    window.seen = { violations: [], shift: 0 };
    addEventListener('securitypolicyviolation', (event) =>
      window.seen.violations.push(`${event.violatedDirective} ${event.blockedURI}`),
    );
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.seen.shift += entry.value;
    }).observe({ type: 'layout-shift', buffered: true });
  });
  await page.goto(url + hash);
  await page.locator('#link[data-link="live"]').waitFor();
  return {
    page,
    trouble,
    /** Fails if anything went wrong so far; closes the page. */
    async close() {
      const violations = await page.evaluate(() => window.seen.violations);
      await context.close();
      assert.deepEqual(violations, [], 'what the content security policy forbade');
      assert.deepEqual(trouble, [], 'what went wrong in the page');
    },
  };
}

/** Fails on any accessibility violation that axe calls serious or critical. */
export async function accessible(page, what) {
  // By the debugger, as the page's own policy lets no other script in.
  await page.evaluate(axeSource());
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  const grave = violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(
      ({ id, help, nodes }) =>
        `${id}: ${help}: ${nodes
          .slice(0, 3)
          .map((node) => node.html.slice(0, 200))
          .join(' | ')}`,
    );
  assert.deepEqual(grave, [], `accessibility of ${what}`);
}

/** The view's name in the address. */
export const hash = (page) => new URL(page.url()).hash;

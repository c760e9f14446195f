// Every view of the console under load, as a viewer uses it: by pointer and by keys.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { accessible, hash, openPage, startBrowser } from './browser.mjs';
import { startDemo } from './demo.mjs';

const VIEWS = ['overview', 'tools', 'agents', 'logs', 'traces', 'cardinality', 'engine'];
const NARROW = { viewport: { width: 360, height: 740 } };

let demo;
let browser;

before(async () => {
  [demo, browser] = await Promise.all([startDemo('--seed', '7'), startBrowser()]);
});
after(async () => {
  await browser?.close();
  await demo?.stop();
});

/** Opens a page, runs the test, and demands that nothing went wrong in it. */
async function on(options, run) {
  const opened = await openPage(browser, demo.url, options);
  await run(opened.page);
  await opened.close();
}

/** What must be there before a view counts as shown. */
const SHOWN = {
  overview: '.tile-number:not(:text-is("–"))',
  tools: 'tbody tr >> nth=3',
  agents: 'tbody tr >> nth=3',
  logs: '.line >> nth=5',
  traces: 'tbody tr >> nth=5',
  cardinality: 'tbody tr >> nth=5',
  engine: '.facts dd:text-matches("[0-9]") >> nth=0',
};

describe('views', () => {
  for (const view of VIEWS) {
    test(`${view} shows data, is accessible, and fits`, async () => {
      await on({ hash: `#/${view}` }, async (page) => {
        await page.locator(SHOWN[view]).first().waitFor();
        assert.equal(await page.locator('#nav [aria-current="page"]').count(), 1);
        await accessible(page, `${view}, light`);
        await page.keyboard.press('t');
        assert.equal(await page.locator('html').getAttribute('data-theme'), 'dark');
        await accessible(page, `${view}, dark`);
      });
      await on({ hash: `#/${view}`, ...NARROW }, async (page) => {
        await page.locator(SHOWN[view]).first().waitFor();
        const width = await page.evaluate(() => document.documentElement.scrollWidth);
        assert.ok(width <= 360, `${view} is ${width} px wide on a screen of 360`);
        await accessible(page, `${view}, narrow`);
      });
    });
  }

  test('the overview does not move while data comes', async () => {
    await on({ hash: '#/overview' }, async (page) => {
      await page.locator('.uplot canvas').nth(5).waitFor();
      await page.waitForFunction(
        () => Number.parseFloat(document.querySelector('.tile-number').textContent) > 0,
      );
      const shift = await page.evaluate(() => window.seen.shift);
      assert.ok(shift < 0.02, `layout moved by ${shift}`);
    });
  });

  test('charts are drawn, and say in words what they show', async () => {
    await on({ hash: '#/overview' }, async (page) => {
      await page.locator('.chart .sr:text("requests: now")').first().waitFor();
      assert.equal(await page.locator('.plot canvas').count(), 9);
      const drawn = await page
        .locator('.plot canvas')
        .first()
        .evaluate((canvas) => {
          const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
          return data.some((value, i) => i % 4 === 3 && value > 0);
        });
      assert.ok(drawn);
      await page.getByRole('button', { name: '1 h' }).click();
      assert.equal(await page.locator('[data-range="coarse"]').getAttribute('aria-pressed'), 'true');
      await page.keyboard.press('r');
      assert.equal(await page.locator('[data-range="fine"]').getAttribute('aria-pressed'), 'true');
    });
  });

  test('eight rules are shown with their state', async () => {
    await on({ hash: '#/overview' }, async (page) => {
      await page.locator('.rule').nth(7).waitFor();
      const states = await page
        .locator('.rule')
        .evaluateAll((rules) => rules.map((rule) => rule.dataset.state));
      assert.equal(states.length, 8);
      assert.ok(
        states.every((state) => ['ok', 'pending', 'firing', 'no_data'].includes(state)),
        states,
      );
    });
  });
});

describe('tools', () => {
  test('sorts by any column, both ways', async () => {
    await on({ hash: '#/tools' }, async (page) => {
      await page.locator('tbody tr').nth(3).waitFor();
      const names = () => page.locator('tbody th').allTextContents();
      await page.getByRole('button', { name: 'Tool', exact: true }).click();
      assert.deepEqual(
        await names(),
        [...(await names())].sort((a, b) => a.localeCompare(b)),
      );
      await page.getByRole('button', { name: 'Tool', exact: true }).press('Enter');
      assert.deepEqual(
        await names(),
        [...(await names())].sort((a, b) => b.localeCompare(a)),
      );
      assert.equal(await page.locator('th[aria-sort="descending"]').textContent(), 'Tool');
      await page.getByRole('button', { name: 'Requests' }).click();
      const totals = await page
        .locator('tbody td:nth-child(2)')
        .evaluateAll((cells) => cells.map((cell) => Number(cell.dataset.value)));
      assert.deepEqual(
        totals,
        [...totals].sort((a, b) => b - a),
      );
    });
  });

  test('filters by name', async () => {
    await on({ hash: '#/tools' }, async (page) => {
      await page.locator('tbody tr').nth(3).waitFor();
      await page.keyboard.press('/');
      await page.keyboard.type('agent_');
      await page.waitForFunction(() =>
        [...document.querySelectorAll('tbody th')].every((cell) => cell.textContent.includes('agent_')),
      );
      assert.ok((await page.locator('tbody tr').count()) >= 1);
    });
  });

  test('a slow point leads to its trace, by pointer and by key', async () => {
    await on({ hash: '#/tools' }, async (page) => {
      await page.getByRole('link', { name: 'neural_predict' }).click();
      await page.locator('.mark').first().waitFor();
      assert.match(
        await page.locator('.mark').first().getAttribute('aria-label'),
        /neural_predict: .* open its trace/,
      );
      await page.locator('.mark').first().click({ force: true });
      await page.locator('.wf-row').first().waitFor();
      assert.match(hash(page), /^#\/traces\/[0-9a-f]{32}$/);
      await page.goBack();
      await page.locator('.mark').first().focus();
      await page.keyboard.press('Enter');
      await page.locator('.wf-row').first().waitFor();
      assert.match(await page.locator('h1').textContent(), /neural_predict/);
    });
  });
});

describe('logs', () => {
  test('filters by level, text and logger', async () => {
    await on({ hash: '#/logs' }, async (page) => {
      await page.locator('.line').nth(5).waitFor();
      const every = (selector, wanted) =>
        page.waitForFunction(
          ([selector, wanted]) => {
            const found = [...document.querySelectorAll(selector)];
            return found.length > 0 && found.every((one) => wanted.includes(one.textContent));
          },
          [selector, wanted],
        );
      await page.getByLabel('Least severe level shown').selectOption('warn');
      await every('.line-level', ['warn', 'error']);
      assert.equal(hash(page), '#/logs?level=warn');
      await page.getByLabel('Least severe level shown').selectOption('');
      await page.getByLabel('Logger').fill('mcp');
      await every('.line-logger', ['mcp']);
      await page.getByLabel('Logger').fill('');
      await page.keyboard.press('Escape');
      await page.keyboard.press('/');
      await page.keyboard.type('agent_spawn');
      await page.waitForFunction(() => {
        const lines = [...document.querySelectorAll('.line')];
        return lines.length > 0 && lines.every((line) => line.textContent.includes('agent_spawn'));
      });
      await page.keyboard.press('Control+a');
      await page.keyboard.type('there is no such text');
      await page.getByText('No line matches these filters.').waitFor();
    });
  });

  test('follows, is held still, and goes on', async () => {
    await on({ hash: '#/logs' }, async (page) => {
      const list = page.locator('.lines');
      const follow = page.locator('.follow');
      const count = () => page.locator('.line').count();
      await page.locator('.line').nth(5).waitFor();
      const first = await count();
      await page.waitForFunction((first) => document.querySelectorAll('.line').length > first, first);
      const atEnd = () =>
        list.evaluate((element) => element.scrollTop + element.clientHeight >= element.scrollHeight - 24);
      assert.ok(await atEnd());
      // Scrolling up holds it still, and new lines are counted.
      await page.waitForFunction(() => {
        const element = document.querySelector('.lines');
        return element.scrollHeight > element.clientHeight + 100;
      });
      await list.hover();
      await page.mouse.wheel(0, -400);
      await page.locator('.follow[aria-pressed="false"]').waitFor();
      const held = await count();
      await page.waitForFunction(() =>
        /Paused · \d+ new/.test(document.querySelector('.follow').textContent),
      );
      assert.equal(await count(), held);
      // The key goes on.
      await page.keyboard.press('f');
      assert.equal(await follow.textContent(), 'Following');
      assert.ok((await count()) > held);
      assert.ok(await atEnd());
    });
  });

  test('a line opens to its fields, and leads to its trace', async () => {
    await on({ hash: '#/logs?text=task_orchestrate' }, async (page) => {
      await page.locator('.line').nth(1).waitFor();
      await page.keyboard.press('f');
      const line = page.locator('.line:has(a.id)').last();
      await line.locator('summary').focus();
      await page.keyboard.press('Enter');
      await line.locator('dt:text-is("trace_id")').waitFor();
      const id = await line.locator('dd a.id').textContent();
      await line.locator('dd a.id').click();
      await page.locator('.wf-row').first().waitFor();
      assert.equal(hash(page), `#/traces/${id}`);
      // Its log lines stand below it, the one that we came from among them.
      await page.locator('.trace-lines .line').first().waitFor();
      assert.ok((await page.locator('.trace-lines a.id').first().getAttribute('href')).endsWith(id));
    });
  });
});

describe('traces', () => {
  test('are filtered by name, duration and errors', async () => {
    await on({ hash: '#/traces' }, async (page) => {
      await page.locator('tbody tr').nth(5).waitFor();
      const rows = (check) =>
        page.waitForFunction(
          new Function(
            `const rows = [...document.querySelectorAll('tbody tr')]; return rows.length > 0 && rows.every((row) => ${check});`,
          ),
        );
      await page.getByLabel('Name that the trace contains').fill('neural_predict');
      await rows(`row.cells[0].textContent.includes('neural_predict')`);
      await page.getByLabel('Least duration').fill('20');
      await rows(`/ s$/.test(row.cells[2].textContent) || Number.parseFloat(row.cells[2].textContent) >= 20`);
      assert.equal(hash(page), '#/traces?name=neural_predict&min_ms=20');
      await page.goto(`${demo.url}#/traces?errors=1`);
      await rows(`Number(row.cells[4].textContent) > 0`);
    });
  });

  test('a waterfall has spans, a critical path, and details', async () => {
    await on({ hash: '#/traces?name=task_orchestrate' }, async (page) => {
      await page.locator('tbody tr a').first().click();
      await page.locator('.wf-row').nth(1).waitFor();
      assert.ok((await page.locator('.wf-path').count()) > 0);
      await page.locator('.wf-row').first().focus();
      await page.keyboard.press('ArrowDown');
      await page.keyboard.press('Enter');
      await page.locator('.wf-details dt:text-is("self time")').waitFor();
      await accessible(page, 'a trace');
      await page.keyboard.press('Escape');
      await page.locator('.traces-table').waitFor();
      assert.equal(hash(page), '#/traces');
    });
    await on({ hash: '#/traces?name=task_orchestrate', ...NARROW }, async (page) => {
      await page.locator('tbody tr a').first().click();
      await page.locator('.wf-row').first().waitFor();
      assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= 360);
    });
  });

  test('one that is gone is said to be', async () => {
    const opened = await openPage(browser, demo.url, { hash: `#/traces/${'ab'.repeat(16)}` });
    await opened.page.getByText('no longer in memory').waitFor();
    // The 404 itself is what was asked for.
    opened.trouble.length = 0;
    await opened.close();
  });
});

describe('the page', () => {
  test('has keys', async () => {
    await on({}, async (page) => {
      for (const [i, view] of VIEWS.entries()) {
        await page.keyboard.press(String(i + 1));
        await page.locator(`#nav a[href="#/${view}"][aria-current="page"]`).waitFor();
      }
      await page.keyboard.press('?');
      await page.getByRole('dialog').waitFor();
      await accessible(page, 'the keys');
      await page.keyboard.press('Escape');
      await page.getByRole('dialog').waitFor({ state: 'hidden' });
    });
  });

  test('keeps the theme that was chosen', async () => {
    await on({ colorScheme: 'dark' }, async (page) => {
      const theme = () => page.locator('html').getAttribute('data-theme');
      assert.equal(await theme(), 'dark');
      await page.getByRole('button', { name: 'Change to the light theme' }).click();
      assert.equal(await theme(), 'light');
      await page.reload();
      await page.locator('#link[data-link="live"]').waitFor();
      assert.equal(await theme(), 'light');
    });
  });

  test('shows what a client wrote as text, whatever it wrote', async () => {
    await on({ hash: '#/engine' }, async (page) => {
      const hostile = '<img src=x onerror="document.title=1"><script>document.title=2</script>';
      const shown = await page.evaluate(async (text) => {
        const { logLine } = await import('./logline.js');
        const { link } = await import('./router.js');
        const line = logLine({
          timestamp: text,
          level: text,
          logger: text,
          message: text,
          trace_id: text,
          field: { text },
        });
        line.querySelector('details').open = true;
        document.querySelector('main').append(line);
        await new Promise((next) => setTimeout(next, 50));
        return {
          made: line.querySelectorAll('img, script').length,
          text: line.textContent,
          link: link('tools', text),
        };
      }, hostile);
      assert.equal(shown.made, 0);
      assert.ok(shown.text.includes(hostile));
      assert.doesNotMatch(shown.link, /[<>"]/);
      assert.doesNotMatch(await page.title(), /^[12]$/);
    });
  });

  test('moves nothing for those who ask for that', async () => {
    await on({ hash: '#/overview', reducedMotion: 'reduce' }, async (page) => {
      await page.locator('.share i').first().waitFor({ state: 'attached' });
      assert.equal(
        await page
          .locator('.share i')
          .first()
          .evaluate((bar) => getComputedStyle(bar).transitionDuration),
        '0s',
      );
    });
  });

  test('fits a wide screen', async () => {
    await on({ hash: '#/overview', viewport: { width: 2560, height: 1300 } }, async (page) => {
      await page.locator('.uplot').first().waitFor();
      const [chart, place] = await page
        .locator('.plot')
        .first()
        .evaluate((plot) => [plot.firstElementChild.clientWidth, plot.clientWidth]);
      assert.equal(chart, place);
    });
  });
});
